// What tests set and ask.
#include <string.h>

#include "memory.h"
#include "stream.h"

using namespace standin;

#define CONTROL extern "C" __attribute__((visibility("default")))

namespace {
const char* lines(const std::vector<std::string>& list) {
    static std::string text;
    text.clear();
    for (const std::string& line : list) text += line + "\n";
    return text.c_str();
}
using Guard = std::lock_guard<std::recursive_mutex>;
}  // namespace

/// As if the process had just initialised the driver, with one device.
CONTROL void danu_standin_reset() {
    State& s = state();
    const Guard guard(s.lock);
    for (size_t i = 0; i < s.devices.size(); i++) end_context(i, false);
    s.objects.clear();
    s.calls.clear();
    s.reports.clear();
    s.faults.clear();
    s.lazy = false;
    s.version = 13000;
    s.cublaslt_version = 130000;
    s.devices = std::vector<Device>(1);
    s.life++;
}
CONTROL void danu_standin_devices(int count) { const Guard guard(state().lock); state().devices.resize(count); }
CONTROL void danu_standin_version(int version) { const Guard guard(state().lock); state().version = version; }
CONTROL void danu_standin_cublaslt_version(int version) { const Guard guard(state().lock); state().cublaslt_version = version; }
CONTROL void danu_standin_lazy(int lazy) { const Guard guard(state().lock); state().lazy = lazy; }
CONTROL void danu_standin_chip(int device, const char* name, int major, int minor, uint64_t memory, int multiprocessors, int slice) {
    const Guard guard(state().lock);
    state().devices.at(device).chip = {name, major, minor, multiprocessors, memory, slice != 0};
}
CONTROL void danu_standin_fail(const char* name, int nth, int status) {
    const Guard guard(state().lock);
    state().faults.push_back({name, nth, (CUresult)status});
}
CONTROL const char* danu_standin_calls() { const Guard guard(state().lock); return lines(state().calls); }
CONTROL const char* danu_standin_reports() { const Guard guard(state().lock); return lines(state().reports); }
CONTROL void danu_standin_clear() { const Guard guard(state().lock); state().calls.clear(); state().reports.clear(); }
/// How many of a kind are alive: "context", "allocation", "pinned memory", or a kind of handles.
CONTROL int danu_standin_live(const char* kind) {
    const Guard guard(state().lock);
    const std::string what(kind);
    if (what == "allocation") return live_allocations(-1);
    if (what == "pinned memory") return live_pinned(-1);
    int count = 0;
    if (what == "context") for (const Device& device : state().devices) count += device.retained > 0;
    for (const auto& [handle, object] : state().objects) count += what == object->kind();
    return count;
}
