#include "stream.h"

namespace standin {
std::shared_ptr<Stream> stream_of(CUstream handle, int device) {
    if (handle == nullptr) return state().devices[device].default_stream;
    const auto stream = find<Stream>(handle);
    return stream && stream->device == device ? stream : nullptr;
}

CUresult drain(Stream& stream) {
    CUresult& fault = state().devices[stream.device].fault;
    while (!stream.queue.empty() && fault == CUDA_SUCCESS) {
        const Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        fault = work();
    }
    if (fault != CUDA_SUCCESS) stream.queue.clear();
    return fault;
}

template <class F> void each_stream(int device, const F& f) {
    std::vector<std::shared_ptr<Stream>> all{state().devices[device].default_stream};
    for (const auto& [handle, object] : state().objects)
        if (const auto stream = std::dynamic_pointer_cast<Stream>(object); stream && stream->device == device) all.push_back(stream);
    for (const auto& stream : all) f(*stream);
}

CUresult drain_device(int device) {
    each_stream(device, [](Stream& stream) { drain(stream); });
    Device& owner = state().devices[device];
    owner.reserved = std::max(owner.used, std::min(owner.reserved, owner.threshold));
    return owner.fault;
}

CUresult drain_blocking(int device) {
    each_stream(device, [](Stream& stream) { if (stream.blocking) drain(stream); });
    return state().devices[device].fault;
}

bool is_capturing(int device) {
    bool capturing = false;
    each_stream(device, [&](Stream& stream) { capturing |= stream.capture != nullptr; });
    return capturing;
}

CUresult enqueue(const std::shared_ptr<Stream>& stream, const std::string& label, const Work& work) {
    if (stream->capture) {
        stream->capture->nodes.push_back({label, work});
        return CUDA_SUCCESS;
    }
    const auto& first = state().devices[stream->device].default_stream;
    if (stream == first) drain_blocking(stream->device);
    else if (stream->blocking) drain(*first);
    stream->queue.push_back(work);
    stream->asked = false;
    // What fails is told by a later call, as a GPU does.
    if (!state().lazy) drain(*stream);
    return CUDA_SUCCESS;
}
}  // namespace standin

using namespace standin;

extern "C" {
CUresult CUDAAPI cuStreamCreate(CUstream* out, unsigned flags) {
    return call_in_context("cuStreamCreate", [&](int device) {
        if (flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
        const auto stream = std::make_shared<Stream>();
        stream->device = device;
        stream->blocking = flags != CU_STREAM_NON_BLOCKING;
        *out = handle_of<CUstream>(stream);
        return CUDA_SUCCESS;
    }, flags);
}

CUresult CUDAAPI cuStreamDestroy(CUstream handle) {
    return call("cuStreamDestroy_v2", [&] {
        const auto stream = find<Stream>(handle);
        if (!stream) return CUDA_ERROR_INVALID_HANDLE;
        drain(*stream);
        forget(handle);
        return CUDA_SUCCESS;
    }, handle);
}

CUresult CUDAAPI cuStreamSynchronize(CUstream handle) {
    return call_on_stream("cuStreamSynchronize", handle, [](int, const auto& stream) {
        return outside_capture(*stream, [&] { return drain(*stream); });
    }, handle);
}

CUresult CUDAAPI cuStreamQuery(CUstream handle) {
    return call_on_stream("cuStreamQuery", handle, [](int, const auto& stream) {
        return outside_capture(*stream, [&] {
            if (stream->queue.empty()) return CUDA_SUCCESS;
            if (stream->asked) return drain(*stream);
            stream->asked = true;
            return CUDA_ERROR_NOT_READY;
        });
    }, handle);
}

CUresult CUDAAPI cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned) {
    return call_on_stream("cuStreamWaitEvent", handle, [&](int, const auto& stream) {
        const auto event = find<Event>(event_handle);
        if (!event) return CUDA_ERROR_INVALID_HANDLE;
        return outside_capture(*stream, [&] {
            return enqueue(stream, "wait", [event, record = event->recorded] {
                const auto other = event->stream.lock();
                return event->reached >= record || !other ? CUDA_SUCCESS : drain(*other);
            });
        });
    }, handle, event_handle);
}

CUresult CUDAAPI cuCtxSynchronize(void) {
    return call_in_context("cuCtxSynchronize", [](int device) {
        return is_capturing(device) ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : drain_device(device);
    });
}

CUresult CUDAAPI cuEventCreate(CUevent* out, unsigned flags) {
    return call_in_context("cuEventCreate", [&](int device) {
        const auto event = std::make_shared<Event>();
        event->device = device;
        event->timing = !(flags & CU_EVENT_DISABLE_TIMING);
        *out = handle_of<CUevent>(event);
        return CUDA_SUCCESS;
    }, flags);
}

CUresult CUDAAPI cuEventRecord(CUevent handle, CUstream stream_handle) {
    return call_on_stream("cuEventRecord", stream_handle, [&](int device, const auto& stream) {
        const auto event = find<Event>(handle);
        if (!event || event->device != device) return CUDA_ERROR_INVALID_HANDLE;
        return outside_capture(*stream, [&] {
            event->stream = stream;
            event->asked = false;
            return enqueue(stream, "record", [event, record = ++event->recorded] {
                event->reached = record;
                event->at = std::chrono::steady_clock::now();
                return CUDA_SUCCESS;
            });
        });
    }, handle, stream_handle);
}
}

namespace {
template <class Body> CUresult call_on_event(const char* name, CUevent handle, const Body& body) {
    return call(name, [&] {
        const auto event = find<Event>(handle);
        if (!event) return CUDA_ERROR_INVALID_HANDLE;
        const CUresult fault = state().devices[event->device].fault;
        if (fault != CUDA_SUCCESS) return fault;
        const auto stream = event->stream.lock();
        return event->reached == event->recorded || !stream ? CUDA_SUCCESS : body(*event, *stream);
    }, handle);
}
}  // namespace

extern "C" {
CUresult CUDAAPI cuEventQuery(CUevent handle) {
    return call_on_event("cuEventQuery", handle, [](Event& event, Stream& stream) {
        if (event.asked) return drain(stream);
        event.asked = true;
        return CUDA_ERROR_NOT_READY;
    });
}

CUresult CUDAAPI cuEventSynchronize(CUevent handle) {
    return call_on_event("cuEventSynchronize", handle, [](Event&, Stream& stream) { return drain(stream); });
}

CUresult CUDAAPI cuEventDestroy(CUevent handle) {
    return call("cuEventDestroy_v2", [&] {
        if (!find<Event>(handle)) return CUDA_ERROR_INVALID_HANDLE;
        forget(handle);
        return CUDA_SUCCESS;
    }, handle);
}

CUresult CUDAAPI cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
    return call("cuEventElapsedTime_v2", [&] {
        const auto start = find<Event>(from), end = find<Event>(to);
        if (!start || !end || !start->timing || !end->timing || !start->recorded || !end->recorded) return CUDA_ERROR_INVALID_HANDLE;
        if (start->reached != start->recorded || end->reached != end->recorded) return CUDA_ERROR_NOT_READY;
        *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
        return CUDA_SUCCESS;
    }, from, to);
}
#undef cuEventElapsedTime
__attribute__((visibility("default"))) CUresult CUDAAPI cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) { return cuEventElapsedTime_v2(milliseconds, from, to); }
}
