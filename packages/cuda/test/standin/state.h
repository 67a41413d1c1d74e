// What the stand-in driver knows: devices, contexts, streams and the calls that came. All of it is guarded by one lock.
#pragma once
#pragma GCC visibility push(default)
#include <cuda.h>
#pragma GCC visibility pop

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace standin {
struct Chip {
    std::string name = "NVIDIA H100 stand-in";
    int major = 9, minor = 0, multiprocessors = 4;
    size_t memory = size_t(2) << 30;
    bool slice = false;
};

/// What a handle of the driver API stands for.
struct Object {
    int device = -1;
    /// Whether somebody has to destroy it.
    bool owned = true;
    virtual ~Object() = default;
    virtual const char* kind() const = 0;
};

/// One piece of work of a stream, done when its turn comes.
using Work = std::function<CUresult()>;

struct Graph : Object {
    struct Node { std::string label; Work work; };
    std::vector<Node> nodes;
    const char* kind() const override { return "graph"; }
};
struct GraphExec : Object {
    std::vector<Graph::Node> nodes;
    const char* kind() const override { return "graph executable"; }
};
struct Stream : Object {
    bool blocking = true, asked = false;
    std::deque<Work> queue;
    std::shared_ptr<Graph> capture;
    bool capture_broken = false;
    const char* kind() const override { return "stream"; }
};
struct Event : Object {
    bool timing = true, asked = false;
    /// How often it was recorded, and the last of those records that the stream has reached.
    unsigned long recorded = 0, reached = 0;
    std::weak_ptr<Stream> stream;
    std::chrono::steady_clock::time_point at;
    const char* kind() const override { return "event"; }
};

struct Device {
    Chip chip;
    int retained = 0;
    /// Error that every call gives once a kernel has failed.
    CUresult fault = CUDA_SUCCESS;
    size_t used = 0, reserved = 0, threshold = 0;
    std::shared_ptr<Stream> default_stream;
};

struct PlannedFault { std::string name; int calls; CUresult status; };

struct State {
    std::recursive_mutex lock;
    bool initialised = false, lazy = false;
    int version = 13000, cublaslt_version = 130000;
    std::vector<Device> devices{1};
    std::map<uint64_t, std::shared_ptr<Object>> objects;
    uint64_t next_handle = 0x560000000000;
    std::vector<std::string> calls, reports;
    std::vector<PlannedFault> faults;
    /// Grows with every reset, so that a thread's current context of before is none.
    int life = 0;
};
State& state();

/// Writes down what a real driver would not tell: a misuse, a kernel's message, a leak.
template <class... A> void report(const A&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    state().reports.push_back(text.str());
}

/// Ordinal of the thread's current device, or -1 without a context.
int current_device();
CUcontext context_of(int device);
/// Frees everything of a device. @param expected_empty whether to write down what was left
void end_context(int device, bool expected_empty);

template <class T> T handle_of(const std::shared_ptr<Object>& object) {
    const uint64_t handle = state().next_handle += 64;
    state().objects[handle] = object;
    return reinterpret_cast<T>(handle);
}
/// The object of a handle, or null where it is none or of another kind.
template <class T> std::shared_ptr<T> find(const void* handle) {
    const auto found = state().objects.find(reinterpret_cast<uint64_t>(handle));
    return found == state().objects.end() ? nullptr : std::dynamic_pointer_cast<T>(found->second);
}
inline void forget(const void* handle) { state().objects.erase(reinterpret_cast<uint64_t>(handle)); }

/// A call of the driver API: writes it down, lets a planned fault happen, else does it.
/// @param body returns the status
template <class Body, class... A> CUresult call(const char* name, const Body& body, const A&... arguments) {
    State& s = state();
    const std::lock_guard<std::recursive_mutex> guard(s.lock);
    std::ostringstream text;
    text << name;
    ((text << ' ' << arguments), ...);
    s.calls.push_back(text.str());
    for (auto fault = s.faults.begin(); fault != s.faults.end(); ++fault) {
        if (fault->name != name || --fault->calls > 0) continue;
        const CUresult status = fault->status;
        s.faults.erase(fault);
        return status;
    }
    if (!s.initialised && std::string(name) != "cuInit" && std::string(name) != "cuDriverGetVersion") return CUDA_ERROR_NOT_INITIALIZED;
    return body();
}

/// A call that needs a current context, whose fault it gives where a kernel has failed there.
/// @param body takes the ordinal of the device and returns the status
template <class Body, class... A> CUresult call_in_context(const char* name, const Body& body, const A&... arguments) {
    return call(name, [&] {
        const int device = current_device();
        if (device < 0) return CUDA_ERROR_INVALID_CONTEXT;
        const CUresult fault = state().devices[device].fault;
        return fault != CUDA_SUCCESS ? fault : body(device);
    }, arguments...);
}
}  // namespace standin
