// Allocation, copies and fills of device memory, each checked against what is allocated.
#include <string.h>

#include "memory.h"
#include "stream.h"

using namespace standin;

namespace {
CUresult allocate_into(CUdeviceptr* out, size_t bytes, int device) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    *out = allocate(device, bytes);
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

bool check(const char* what, CUdeviceptr address, size_t bytes) {
    if (is_inside(address, bytes)) return true;
    report(what, ": ", bytes, " bytes from ", place(address));
    return false;
}

/// Work on memory that may be gone when its turn comes.
Work on_memory(const char* what, std::vector<std::pair<CUdeviceptr, size_t>> places, std::function<void()> body) {
    return [=] {
        for (const auto& [address, bytes] : places) if (!check(what, address, bytes)) return CUDA_ERROR_ILLEGAL_ADDRESS;
        body();
        return CUDA_SUCCESS;
    };
}

/// A copy with memory of the host. Only pinned memory is read or written later: the driver does the others before it returns.
CUresult host_copy(const char* what, const std::shared_ptr<Stream>& stream, CUdeviceptr address, const void* host, size_t bytes, std::function<void()> body) {
    if (bytes == 0) return CUDA_SUCCESS;
    if (!check(what, address, bytes)) return CUDA_ERROR_INVALID_VALUE;
    const bool pinned = is_pinned(host, bytes);
    const CUresult status = enqueue(stream, what, on_memory(what, {{address, bytes}}, [=] {
        if (pinned && !is_pinned(host, bytes)) report(what, ": its pinned memory was freed before the copy");
        body();
    }));
    if (!pinned && stream->capture) { stream->capture_broken = true; return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; }
    return pinned || status != CUDA_SUCCESS ? status : drain(*stream);
}

template <class T> CUresult fill(const char* name, CUdeviceptr address, T value, size_t count, CUstream handle) {
    return call_on_stream(name, handle, [&](int, const auto& stream) {
        if (count == 0) return CUDA_SUCCESS;
        if (address % sizeof(T) || !check(name, address, count * sizeof(T))) return CUDA_ERROR_INVALID_VALUE;
        return enqueue(stream, "fill", on_memory(name, {{address, count * sizeof(T)}}, [=] { std::fill_n((T*)address, count, value); }));
    }, (void*)address, (uint64_t)value, count, handle);
}
}  // namespace

extern "C" {
CUresult CUDAAPI cuMemGetInfo(size_t* free, size_t* total) {
    return call_in_context("cuMemGetInfo_v2", [&](int device) {
        const Device& owner = state().devices[device];
        *free = owner.chip.memory - owner.reserved;
        *total = owner.chip.memory;
        return CUDA_SUCCESS;
    });
}

CUresult CUDAAPI cuMemAlloc(CUdeviceptr* out, size_t bytes) {
    return call_in_context("cuMemAlloc_v2", [&](int device) {
        return is_capturing(device) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : allocate_into(out, bytes, device);
    }, bytes);
}

CUresult CUDAAPI cuMemFree(CUdeviceptr address) {
    return call_in_context("cuMemFree_v2", [&](int device) {
        if (address == 0) return CUDA_SUCCESS;
        if (!allocation_at(address)) { report("cuMemFree: ", place(address)); return CUDA_ERROR_INVALID_VALUE; }
        drain_device(device);
        fences_hold("somebody");
        release(address);
        return state().devices[device].fault;
    }, (void*)address);
}

CUresult CUDAAPI cuMemAllocAsync(CUdeviceptr* out, size_t bytes, CUstream handle) {
    return call_on_stream("cuMemAllocAsync", handle, [&](int device, const auto& stream) {
        return outside_capture(*stream, [&] {
            const CUresult status = allocate_into(out, bytes, device);
            // What is freed before in the order of the stream is free for this one.
            return status == CUDA_ERROR_OUT_OF_MEMORY && drain(*stream) == CUDA_SUCCESS ? allocate_into(out, bytes, device) : status;
        });
    }, bytes, handle);
}

CUresult CUDAAPI cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
    return call_on_stream("cuMemFreeAsync", handle, [&](int, const auto& stream) {
        if (!allocation_at(address)) { report("cuMemFreeAsync: ", place(address)); return CUDA_ERROR_INVALID_VALUE; }
        return outside_capture(*stream, [&] {
            return enqueue(stream, "free", [address] {
                if (release(address)) return CUDA_SUCCESS;
                report("cuMemFreeAsync: ", place(address));
                return CUDA_ERROR_ILLEGAL_ADDRESS;
            });
        });
    }, (void*)address, handle);
}

CUresult CUDAAPI cuMemHostAlloc(void** out, size_t bytes, unsigned flags) {
    return call_in_context("cuMemHostAlloc", [&](int device) {
        if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
        if (is_capturing(device)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        *out = allocate_pinned(device, bytes);
        return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    }, bytes, flags);
}

CUresult CUDAAPI cuMemFreeHost(void* address) {
    return call("cuMemFreeHost", [&] { return release_pinned(address) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; }, address);
}

CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream handle) {
    return call_on_stream("cuMemcpyHtoDAsync_v2", handle, [&](int, const auto& stream) {
        return host_copy("copy to the device", stream, to, from, bytes, [=] { memcpy((void*)to, from, bytes); });
    }, (void*)to, is_pinned(from, bytes) ? "pinned" : "pageable", bytes, handle);
}

CUresult CUDAAPI cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream handle) {
    return call_on_stream("cuMemcpyDtoHAsync_v2", handle, [&](int, const auto& stream) {
        return host_copy("copy to the host", stream, from, to, bytes, [=] { memcpy(to, (const void*)from, bytes); });
    }, is_pinned(to, bytes) ? "pinned" : "pageable", (void*)from, bytes, handle);
}

CUresult CUDAAPI cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
    return call_on_stream("cuMemcpyDtoDAsync_v2", handle, [&](int, const auto& stream) {
        const char* what = "copy on the device";
        if (bytes == 0) return CUDA_SUCCESS;
        if (!check(what, from, bytes) || !check(what, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
        if (from < to + bytes && to < from + bytes) { report(what, ": source and target overlap"); return CUDA_ERROR_INVALID_VALUE; }
        return enqueue(stream, what, on_memory(what, {{from, bytes}, {to, bytes}}, [=] { memcpy((void*)to, (const void*)from, bytes); }));
    }, (void*)to, (void*)from, bytes, handle);
}

CUresult CUDAAPI cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
    return call_on_stream("cuMemcpyHtoD_v2", nullptr, [&](int device, const auto& stream) {
        if (is_capturing(device)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        const CUresult status = host_copy("copy to the device", stream, to, from, bytes, [=] { memcpy((void*)to, from, bytes); });
        return status == CUDA_SUCCESS ? drain(*stream) : status;
    }, (void*)to, bytes);
}

CUresult CUDAAPI cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
    return call_on_stream("cuMemcpyDtoH_v2", nullptr, [&](int device, const auto& stream) {
        if (is_capturing(device)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        const CUresult status = host_copy("copy to the host", stream, from, to, bytes, [=] { memcpy(to, (const void*)from, bytes); });
        return status == CUDA_SUCCESS ? drain(*stream) : status;
    }, (void*)from, bytes);
}

CUresult CUDAAPI cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) { return fill<uint8_t>("cuMemsetD8Async", to, value, count, stream); }
CUresult CUDAAPI cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) { return fill<uint16_t>("cuMemsetD16Async", to, value, count, stream); }
CUresult CUDAAPI cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) { return fill<uint32_t>("cuMemsetD32Async", to, value, count, stream); }
}
