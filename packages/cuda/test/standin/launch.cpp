#include "launch.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "memory.h"

namespace standin {
Arguments::Arguments(const Kernel& kernel, void* const* values) {
    size_t bytes = 0;
    std::vector<size_t> offsets;
    for (int i = 0; i < kernel.count; i++) {
        const Parameter& p = kernel.parameters[i];
        bytes = (bytes + p.alignment - 1) / p.alignment * p.alignment;
        offsets.push_back(bytes);
        bytes += p.bytes;
    }
    constexpr size_t ALIGNMENT = 128;
    memory_.reset(new char[bytes + ALIGNMENT]);
    char* start = (char*)(((uintptr_t)memory_.get() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    for (int i = 0; i < kernel.count; i++) {
        memcpy(start + offsets[i], values[i], kernel.parameters[i].bytes);
        pointers_.push_back(start + offsets[i]);
    }
}

namespace {
// The kernel that runs. A signal of its code is led to `stop_here`, which leaves through the twin's scheduler, or past it
// where the scheduler itself was at work, landing a copy.
struct Running { const KernelLibrary* library = nullptr; char message[256]; uintptr_t address; int signal; sigjmp_buf outside; };
Running running;
alignas(64) char stop_stack[64 << 10];
alignas(64) char signal_stack[64 << 10];
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

[[noreturn]] void stop_here() {
    const std::string why = running.signal == SIGFPE ? "division by zero" : running.signal == SIGILL ? "illegal instruction" : "illegal " + place(running.address);
    snprintf(running.message, sizeof running.message, "%s", why.c_str());
    running.library->stop(running.message);
    siglongjmp(running.outside, 1);
}

void on_signal(int signal, siginfo_t* info, void* context) {
    running.signal = signal;
    running.address = (uintptr_t)info->si_addr;
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
    // The stack of the fiber may be what failed, so another one is taken; 8 bytes stand for the return address.
    char* top = stop_stack + sizeof stop_stack - 64;
#if defined(__x86_64__)
    registers.gregs[REG_RIP] = (greg_t)stop_here;
    registers.gregs[REG_RSP] = (greg_t)(top - 8);
#elif defined(__aarch64__)
    registers.pc = (uintptr_t)stop_here;
    registers.sp = (uintptr_t)top;
#endif
}

/// Our handlers while a kernel runs; those of before, which are Node's, at all other times.
class Handlers {
public:
    Handlers() {
        stack_t ours{};
        ours.ss_sp = signal_stack;
        ours.ss_size = sizeof signal_stack;
        sigaltstack(&ours, &stack_);
        struct sigaction action{};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        for (size_t i = 0; i < std::size(SIGNALS); i++) sigaction(SIGNALS[i], &action, &before_[i]);
    }
    ~Handlers() {
        for (size_t i = 0; i < std::size(SIGNALS); i++) sigaction(SIGNALS[i], &before_[i], nullptr);
        sigaltstack(&stack_, nullptr);
    }

private:
    stack_t stack_;
    struct sigaction before_[std::size(SIGNALS)];
};

/// A pointer must lead to live memory of the kernel's device, or to pinned memory; null is for kernels to look at.
bool pointers_hold(int device, const Kernel& kernel, const Arguments& arguments) {
    for (int i = 0; i < kernel.count; i++) {
        if (!kernel.parameters[i].pointer) continue;
        const CUdeviceptr address = *static_cast<CUdeviceptr*>(arguments.list()[i]);
        if (address == 0 || is_pinned((const void*)address, 0)) continue;
        const auto found = allocation_around(address);
        if (found && found->device == device) continue;
        report("kernel ", kernel.name, ": parameter ", i, ": ", found ? "memory of device " + std::to_string(found->device) : place(address));
        return false;
    }
    return true;
}
}  // namespace

CUresult run_kernel(int device, const KernelLibrary& library, const Kernel& kernel, const Shape& shape, const Arguments& arguments) {
    if (!pointers_hold(device, kernel, arguments)) return CUDA_ERROR_ILLEGAL_ADDRESS;
    running.library = &library;
    running.signal = 0;
    bool done = false;
    {
        const Handlers handlers;
        if (sigsetjmp(running.outside, 1) == 0) done = kernel.run(shape, arguments.list(), running.message, sizeof running.message);
    }
    const bool inside = fences_hold(std::string("kernel ") + kernel.name);
    if (!done) report("kernel ", kernel.name, ": ", running.message);
    if (!done) return running.signal == SIGSEGV || running.signal == SIGBUS ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_ERROR_LAUNCH_FAILED;
    return inside ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
}
}  // namespace standin
