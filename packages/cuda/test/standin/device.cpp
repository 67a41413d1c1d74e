// Devices, their attributes, and contexts.
#include <string.h>

#include "memory.h"
#include "stream.h"

namespace standin {
State& state() { static State s; return s; }

namespace {
struct Current { int device = -1, life = 0; };
thread_local Current current;

/// Most shared memory of a block, after asking for it. CUDA C++ Programming Guide, compute capabilities.
int shared_limit(const Chip& chip) {
    const int capability = chip.major * 10 + chip.minor;
    if (capability == 80 || capability == 87) return 163 << 10;
    if (capability == 86 || capability == 89 || capability >= 120) return 99 << 10;
    return capability >= 90 ? 227 << 10 : capability >= 75 ? 64 << 10 : 48 << 10;
}

bool attribute(const Chip& chip, CUdevice_attribute which, int& value) {
    const bool hopper = chip.major >= 9;
    switch (which) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: value = chip.major; return true;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: value = chip.minor; return true;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: value = chip.multiprocessors; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: value = 48 << 10; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: value = shared_limit(chip); return true;
        case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: value = shared_limit(chip) + 1024; return true;
        case CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: value = 1024; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: value = 1024; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: value = 2048; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK: case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: value = 65536; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: value = 0x7FFFFFFF; return true;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y: case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: value = 65535; return true;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: value = 32; return true;
        case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: value = 1'830'000; return true;
        case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: value = 2'619'000; return true;
        case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: value = 5120; return true;
        case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: value = 50 << 20; return true;
        case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS: value = 1; return true;
        case CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH: case CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED: value = hopper; return true;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE: case CU_DEVICE_ATTRIBUTE_INTEGRATED: case CU_DEVICE_ATTRIBUTE_ECC_ENABLED: value = 0; return true;
        default: return false;
    }
}

template <class Body, class... A> CUresult call_on_device(const char* name, int ordinal, const Body& body, const A&... arguments) {
    return call(name, [&] {
        const bool known = ordinal >= 0 && ordinal < (int)state().devices.size();
        return known ? body(state().devices[ordinal]) : CUDA_ERROR_INVALID_DEVICE;
    }, ordinal, arguments...);
}
CUmemoryPool pool_of(int device) { return (CUmemoryPool)(uintptr_t(0x550000001000) + 64 * device); }
Device* device_of(CUmemoryPool pool) {
    for (size_t i = 0; i < state().devices.size(); i++) if (pool_of(i) == pool) return &state().devices[i];
    return nullptr;
}
}  // namespace

int current_device() {
    const bool alive = current.device >= 0 && current.life == state().life && current.device < (int)state().devices.size() && state().devices[current.device].retained > 0;
    return alive ? current.device : -1;
}
CUcontext context_of(int device) { return (CUcontext)(uintptr_t(0x550000000000) + 64 * device); }

void end_context(int device, bool expected_empty) {
    Device& owner = state().devices[device];
    const auto left = [&](const auto&... what) { if (expected_empty) report("leak: the context of device ", device, " ended with ", what...); };
    if (owner.fault == CUDA_SUCCESS && owner.default_stream) drain_device(device);
    for (auto at = state().objects.begin(); at != state().objects.end();) {
        const std::shared_ptr<Object> object = at->second;
        if (object->device != device) { ++at; continue; }
        if (object->owned) left("a ", object->kind());
        at = state().objects.erase(at);
    }
    fences_hold("somebody");
    if (const long count = release_all(device)) left(count, " allocations");
    if (const long count = release_all_pinned(device)) left(count, " blocks of pinned memory");
    owner.retained = 0;
    owner.fault = CUDA_SUCCESS;
    owner.used = owner.reserved = owner.threshold = 0;
    owner.default_stream = nullptr;
}
}  // namespace standin

using namespace standin;

extern "C" {
CUresult CUDAAPI cuInit(unsigned flags) {
    return call("cuInit", [&] {
        if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
        if (state().devices.empty()) return CUDA_ERROR_NO_DEVICE;
        state().initialised = true;
        return CUDA_SUCCESS;
    }, flags);
}
CUresult CUDAAPI cuDriverGetVersion(int* out) {
    return call("cuDriverGetVersion", [&] { *out = state().version; return CUDA_SUCCESS; });
}
CUresult CUDAAPI cuDeviceGetCount(int* out) {
    return call("cuDeviceGetCount", [&] { *out = state().devices.size(); return CUDA_SUCCESS; });
}
CUresult CUDAAPI cuDeviceGet(CUdevice* out, int ordinal) {
    return call_on_device("cuDeviceGet", ordinal, [&](Device&) { *out = ordinal; return CUDA_SUCCESS; });
}
CUresult CUDAAPI cuDeviceGetName(char* out, int room, CUdevice ordinal) {
    return call_on_device("cuDeviceGetName", ordinal, [&](Device& device) {
        snprintf(out, room, "%s", device.chip.name.c_str());
        return CUDA_SUCCESS;
    });
}
CUresult CUDAAPI cuDeviceGetUuid(CUuuid* out, CUdevice ordinal) {
    return call_on_device("cuDeviceGetUuid_v2", ordinal, [&](Device& device) {
        memset(out->bytes, 0x5A, sizeof out->bytes);
        out->bytes[0] = ordinal;
        out->bytes[1] = device.chip.slice;
        return CUDA_SUCCESS;
    });
}
CUresult CUDAAPI cuDeviceGetAttribute(int* out, CUdevice_attribute which, CUdevice ordinal) {
    return call_on_device("cuDeviceGetAttribute", ordinal, [&](Device& device) {
        if (attribute(device.chip, which, *out)) return CUDA_SUCCESS;
        report("cuDeviceGetAttribute: the stand-in does not know attribute ", (int)which);
        return CUDA_ERROR_INVALID_VALUE;
    }, (int)which);
}
CUresult CUDAAPI cuDeviceTotalMem(size_t* out, CUdevice ordinal) {
    return call_on_device("cuDeviceTotalMem_v2", ordinal, [&](Device& device) { *out = device.chip.memory; return CUDA_SUCCESS; });
}

CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice ordinal) {
    return call_on_device("cuDevicePrimaryCtxRetain", ordinal, [&](Device& device) {
        if (device.retained++ == 0) {
            device.default_stream = std::make_shared<Stream>();
            device.default_stream->device = ordinal;
        }
        *out = context_of(ordinal);
        return CUDA_SUCCESS;
    });
}
CUresult CUDAAPI cuDevicePrimaryCtxRelease(CUdevice ordinal) {
    return call_on_device("cuDevicePrimaryCtxRelease_v2", ordinal, [&](Device& device) {
        if (device.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
        if (--device.retained == 0) end_context(ordinal, device.fault == CUDA_SUCCESS);
        return CUDA_SUCCESS;
    });
}
CUresult CUDAAPI cuDevicePrimaryCtxReset(CUdevice ordinal) {
    return call_on_device("cuDevicePrimaryCtxReset_v2", ordinal, [&](Device&) { end_context(ordinal, false); return CUDA_SUCCESS; });
}
CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) {
    return call("cuCtxSetCurrent", [&] {
        current = {-1, state().life};
        if (context == nullptr) return CUDA_SUCCESS;
        for (size_t i = 0; i < state().devices.size(); i++) if (context == context_of(i) && state().devices[i].retained > 0) current.device = i;
        return current.device < 0 ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
    }, context);
}
CUresult CUDAAPI cuCtxGetCurrent(CUcontext* out) {
    return call("cuCtxGetCurrent", [&] {
        *out = current_device() < 0 ? nullptr : context_of(current_device());
        return CUDA_SUCCESS;
    });
}

CUresult CUDAAPI cuDeviceGetDefaultMemPool(CUmemoryPool* out, CUdevice ordinal) {
    return call_on_device("cuDeviceGetDefaultMemPool", ordinal, [&](Device&) { *out = pool_of(ordinal); return CUDA_SUCCESS; });
}
CUresult CUDAAPI cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute which, void* value) {
    return call("cuMemPoolSetAttribute", [&] {
        Device* device = device_of(pool);
        if (!device || which > CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) return CUDA_ERROR_INVALID_VALUE;
        if (which == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) memcpy(&device->threshold, value, sizeof device->threshold);
        return CUDA_SUCCESS;
    }, pool, (int)which);
}
CUresult CUDAAPI cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute which, void* value) {
    return call("cuMemPoolGetAttribute", [&] {
        const Device* device = device_of(pool);
        if (!device) return CUDA_ERROR_INVALID_VALUE;
        const size_t* found = which == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? &device->threshold
                            : which == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT ? &device->reserved
                            : which == CU_MEMPOOL_ATTR_USED_MEM_CURRENT ? &device->used : nullptr;
        if (!found) { report("cuMemPoolGetAttribute: the stand-in does not know attribute ", (int)which); return CUDA_ERROR_INVALID_VALUE; }
        memcpy(value, found, sizeof *found);
        return CUDA_SUCCESS;
    }, pool, (int)which);
}
CUresult CUDAAPI cuMemPoolTrimTo(CUmemoryPool pool, size_t keep) {
    return call("cuMemPoolTrimTo", [&] {
        Device* device = device_of(pool);
        if (!device) return CUDA_ERROR_INVALID_VALUE;
        device->reserved = std::max(device->used, std::min(device->reserved, keep));
        return CUDA_SUCCESS;
    }, pool, keep);
}

CUresult CUDAAPI cuGetErrorName(CUresult error, const char** out) {
    static std::map<int, std::string> names;
    std::string& name = names[error];
    name = "CUDA_ERROR_" + std::to_string((int)error);
    *out = name.c_str();
    return CUDA_SUCCESS;
}
CUresult CUDAAPI cuGetErrorString(CUresult error, const char** out) { return cuGetErrorName(error, out); }
}
