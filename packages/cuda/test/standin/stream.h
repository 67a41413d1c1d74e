// The order of work: streams, captures, and what waits for them.
#pragma once
#include "state.h"

namespace standin {
/// The stream of a handle, the device's default stream for null; null where it is none of the current device.
std::shared_ptr<Stream> stream_of(CUstream handle, int device);
/// Puts work at the end of a stream, or into the graph that it captures. Unless streams are lazy, the work is done at once.
CUresult enqueue(const std::shared_ptr<Stream>& stream, const std::string& label, const Work& work);
/// Does what a stream has left; a failure stays with its device. @returns the fault of the device
CUresult drain(Stream& stream);
CUresult drain_device(int device);
/// What the default stream waits for: the streams that were not made non-blocking.
CUresult drain_blocking(int device);
bool is_capturing(int device);
/// A call on a stream, with its device and the stream itself.
template <class Body, class... A> CUresult call_on_stream(const char* name, CUstream handle, const Body& body, const A&... arguments) {
    return call_in_context(name, [&](int device) {
        const auto stream = stream_of(handle, device);
        return stream ? body(device, stream) : CUDA_ERROR_INVALID_HANDLE;
    }, arguments...);
}
/// What a call does that no capture may contain.
template <class Body> CUresult outside_capture(Stream& stream, const Body& body) {
    if (!stream.capture) return body();
    stream.capture_broken = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}
}  // namespace standin
