// Captures of streams, and graphs that replay them.
#include "stream.h"

using namespace standin;

extern "C" {
CUresult CUDAAPI cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
    return call_on_stream("cuStreamBeginCapture_v2", handle, [&](int device, const auto& stream) {
        if (handle == nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
        stream->capture = std::make_shared<Graph>();
        stream->capture->device = device;
        stream->capture_broken = false;
        return CUDA_SUCCESS;
    }, handle, (int)mode);
}

CUresult CUDAAPI cuStreamEndCapture(CUstream handle, CUgraph* out) {
    return call_on_stream("cuStreamEndCapture", handle, [&](int, const auto& stream) {
        if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
        const auto graph = std::exchange(stream->capture, nullptr);
        *out = stream->capture_broken ? nullptr : handle_of<CUgraph>(graph);
        return stream->capture_broken ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
    }, handle);
}

CUresult CUDAAPI cuGraphInstantiate(CUgraphExec* out, CUgraph handle, unsigned long long flags) {
    return call_in_context("cuGraphInstantiateWithFlags", [&](int device) {
        const auto graph = find<Graph>(handle);
        if (!graph) return CUDA_ERROR_INVALID_HANDLE;
        const auto exec = std::make_shared<GraphExec>();
        exec->device = device;
        exec->nodes = graph->nodes;
        *out = handle_of<CUgraphExec>(exec);
        return CUDA_SUCCESS;
    }, handle, flags);
}

CUresult CUDAAPI cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
    return call_on_stream("cuGraphLaunch", stream_handle, [&](int device, const auto& stream) {
        const auto exec = find<GraphExec>(handle);
        if (!exec || exec->device != device) return CUDA_ERROR_INVALID_HANDLE;
        return outside_capture(*stream, [&] {
            for (const auto& node : exec->nodes) enqueue(stream, node.label, node.work);
            return CUDA_SUCCESS;
        });
    }, handle, stream_handle);
}

CUresult CUDAAPI cuGraphExecUpdate(CUgraphExec handle, CUgraph graph_handle, CUgraphExecUpdateResultInfo* info) {
    return call_in_context("cuGraphExecUpdate_v2", [&](int) {
        const auto exec = find<GraphExec>(handle);
        const auto graph = find<Graph>(graph_handle);
        if (!exec || !graph) return CUDA_ERROR_INVALID_HANDLE;
        bool same = exec->nodes.size() == graph->nodes.size();
        for (size_t i = 0; same && i < exec->nodes.size(); i++) same = exec->nodes[i].label == graph->nodes[i].label;
        *info = {same ? CU_GRAPH_EXEC_UPDATE_SUCCESS : CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED};
        if (same) exec->nodes = graph->nodes;
        return same ? CUDA_SUCCESS : CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    }, handle, graph_handle);
}

CUresult CUDAAPI cuGraphExecDestroy(CUgraphExec handle) {
    return call("cuGraphExecDestroy", [&] {
        if (!find<GraphExec>(handle)) return CUDA_ERROR_INVALID_HANDLE;
        forget(handle);
        return CUDA_SUCCESS;
    }, handle);
}

CUresult CUDAAPI cuGraphDestroy(CUgraph handle) {
    return call("cuGraphDestroy", [&] {
        if (!find<Graph>(handle)) return CUDA_ERROR_INVALID_HANDLE;
        forget(handle);
        return CUDA_SUCCESS;
    }, handle);
}
}
