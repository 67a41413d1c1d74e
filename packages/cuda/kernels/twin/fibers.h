// Fibers: stacks of their own that give the processor away only where they say so. A switch saves what the calling convention
// asks a function to keep, in a few instructions; machines that have none here go through the system's ucontext.
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

namespace twin {
constexpr size_t STACK = 128 << 10;

/// The low end of a stack of STACK bytes. What grows past it meets a page that may not be touched.
inline char* make_stack() {
    const size_t page = sysconf(_SC_PAGESIZE);
    char* at = static_cast<char*>(mmap(nullptr, page + STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (at == MAP_FAILED || mprotect(at + page, STACK, PROT_READ | PROT_WRITE)) abort();
    return at + page;
}
}  // namespace twin

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
// Weak, so that several files of a program may have it.
extern "C" __attribute__((visibility("hidden"))) void danu_twin_switch(void** save, void* load);
#ifdef __x86_64__
asm(R"(
.pushsection .text
.weak danu_twin_switch
.hidden danu_twin_switch
.type danu_twin_switch, @function
danu_twin_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
.size danu_twin_switch, .-danu_twin_switch
.popsection
)");
#else
asm(R"(
.pushsection .text
.weak danu_twin_switch
.hidden danu_twin_switch
.type danu_twin_switch, %function
danu_twin_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]; stp x21, x22, [sp, #16]; stp x23, x24, [sp, #32]; stp x25, x26, [sp, #48]; stp x27, x28, [sp, #64]
    stp d8, d9, [sp, #80]; stp d10, d11, [sp, #96]; stp d12, d13, [sp, #112]; stp d14, d15, [sp, #128]
    stp x29, x30, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]; ldp x21, x22, [sp, #16]; ldp x23, x24, [sp, #32]; ldp x25, x26, [sp, #48]; ldp x27, x28, [sp, #64]
    ldp d8, d9, [sp, #80]; ldp d10, d11, [sp, #96]; ldp d12, d13, [sp, #112]; ldp d14, d15, [sp, #128]
    ldp x29, x30, [sp, #144]
    add sp, sp, #160
    ret
.size danu_twin_switch, .-danu_twin_switch
.popsection
)");
#endif
namespace twin {
/// Where a fiber goes on.
struct Context {
    void* stack = nullptr;
    /// Lets it start with `entry`, which never returns, on the stack below `top`, a multiple of 16.
    void start(char*, char* top, void (*entry)()) {
#ifdef __x86_64__
        constexpr int WORDS = 8, ENTRY = 6;         // six registers, the entry, and where it would return to
#else
        constexpr int WORDS = 20, ENTRY = 19;       // the link register comes last
#endif
        void** words = reinterpret_cast<void**>(top) - WORDS;
        for (int i = 0; i < WORDS; i++) words[i] = nullptr;
        words[ENTRY] = reinterpret_cast<void*>(entry); stack = words;
    }
};
inline void switch_to(Context& from, Context& to) { danu_twin_switch(&from.stack, to.stack); }
}  // namespace twin
#else
#include <ucontext.h>
namespace twin {
struct Context {
    ucontext_t state;
    void start(char* low, char* top, void (*entry)()) {
        getcontext(&state); state.uc_stack.ss_sp = low; state.uc_stack.ss_size = top - low; state.uc_link = nullptr;
        makecontext(&state, entry, 0);
    }
};
inline void switch_to(Context& from, Context& to) { swapcontext(&from.state, &to.state); }
}  // namespace twin
#endif
