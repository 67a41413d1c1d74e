// Kernel images, functions and their launches.
#include <dlfcn.h>
#include <string.h>

#include <tuple>

#include "launch.h"
#include "memory.h"
#include "stream.h"

namespace standin {
namespace {
constexpr char MAGIC[] = "danu-standin ";

struct Library : Object {
    const KernelLibrary* kernels;
    const char* kind() const override { return "library"; }
};
struct KernelObject : Object {
    std::shared_ptr<Library> library;
    const Kernel* kernel;
    const char* kind() const override { return "kernel"; }
};
struct Function : Object {
    std::shared_ptr<Library> library;
    const Kernel* kernel;
    int shared_limit = 48 << 10;
    const char* kind() const override { return "function"; }
};

/// The path that an image names; empty where it is no image.
std::string path_in(const void* image) {
    const char* text = (const char*)image;
    if (strncmp(text, MAGIC, sizeof MAGIC - 1) != 0) return "";
    text += sizeof MAGIC - 1;
    return std::string(text, strcspn(text, "\n"));
}

/// The library of kernels of an image. It stays in memory: fibers may sleep in its code.
const KernelLibrary* open(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto kernels = handle ? (const KernelLibrary* (*)())dlsym(handle, "danu_standin_kernels") : nullptr;
    if (!kernels) report("cuLibraryLoadData: ", dlerror());
    return kernels ? kernels() : nullptr;
}

/// Whether a chip runs the code: danu has it for 8.0, 8.9 and 9.0a, and PTX of 8.0 for later ones.
bool has_code(const Chip& chip, const KernelLibrary& kernels) {
    return kernels.hopper ? chip.major == 9 : chip.major >= 8;
}

/// Functions belong to a context and end with it, but nobody destroys them.
std::map<std::pair<int, const Kernel*>, CUfunction> functions;
}  // namespace
}  // namespace standin

using namespace standin;

/// A kernel that starts early runs in its turn here: what it may read before is there in either order. All blocks of one that is
/// launched `together` are there at the same time, one a multiprocessor; the twin runs them as one cluster.
static CUresult launch(const char* name, CUfunction handle, const CUlaunchConfig& c, void** values, void** extra, bool together = false) {
    const auto function = find<Function>(handle);
    const auto [x, y, z] = std::tuple(c.gridDimX, c.gridDimY, c.gridDimZ);
    return call_on_stream(name, c.hStream, [&, x = x, y = y, z = z](int device, const auto& stream) {
        if (!function || function->device != device) return CUDA_ERROR_INVALID_HANDLE;
        const Kernel& kernel = *function->kernel;
        const auto refuse = [&](auto... why) { report("kernel ", kernel.name, ": ", why...); return CUDA_ERROR_INVALID_VALUE; };
        if (x == 0 || y == 0 || z == 0 || x > 0x7FFFFFFF || y > 65535 || z > 65535) return refuse("a grid of ", x, " x ", y, " x ", z);
        if (c.blockDimY != 1 || c.blockDimZ != 1 || c.blockDimX == 0) return refuse("a block of ", c.blockDimX, " x ", c.blockDimY, " x ", c.blockDimZ, ", where threads along x are expected");
        if ((int)c.blockDimX > kernel.threads) return refuse("a block of ", c.blockDimX, ", bounded to ", kernel.threads);
        if (kernel.cluster < 1 || x % kernel.cluster != 0) return refuse("a grid of ", x, " for clusters of ", kernel.cluster);
        if ((int)c.sharedMemBytes > function->shared_limit) return refuse(c.sharedMemBytes, " bytes of shared memory, allowed are ", function->shared_limit);
        if (extra != nullptr || (values == nullptr && kernel.count > 0)) return refuse("arguments other than as a list of addresses");
        if (together && (y != 1 || z != 1 || kernel.cluster != 1)) return refuse("a grid of ", x, " x ", y, " x ", z, " in clusters of ", kernel.cluster, ", where single blocks along x are expected");
        if (together && (int)x > state().devices[device].chip.multiprocessors) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
        const Shape shape{{x, y, z}, (int)c.blockDimX, c.sharedMemBytes, together};
        return enqueue(stream, kernel.name, [device, library = function->library, &kernel, shape, arguments = Arguments(kernel, values)] {
            return run_kernel(device, *library->kernels, kernel, shape, arguments);
        });
    }, function ? function->kernel->name : "unknown", x, y, z, c.blockDimX, c.sharedMemBytes, c.hStream);
}

extern "C" {
CUresult CUDAAPI cuLibraryLoadData(CUlibrary* out, const void* image, CUjit_option*, void**, unsigned, CUlibraryOption*, void**, unsigned) {
    const std::string path = path_in(image);
    return call("cuLibraryLoadData", [&] {
        const KernelLibrary* kernels = path.empty() ? nullptr : open(path);
        if (!kernels) return CUDA_ERROR_INVALID_IMAGE;
        const int device = current_device();
        if (device >= 0 && !has_code(state().devices[device].chip, *kernels)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
        const auto library = std::make_shared<Library>();
        library->kernels = kernels;
        *out = handle_of<CUlibrary>(library);
        return CUDA_SUCCESS;
    }, path.substr(path.rfind('/') + 1));
}

CUresult CUDAAPI cuLibraryUnload(CUlibrary handle) {
    return call("cuLibraryUnload", [&] {
        const auto library = find<Library>(handle);
        if (!library) return CUDA_ERROR_INVALID_HANDLE;
        auto& objects = state().objects;
        for (auto at = objects.begin(); at != objects.end();) {
            const auto kernel = std::dynamic_pointer_cast<KernelObject>(at->second);
            const auto function = std::dynamic_pointer_cast<Function>(at->second);
            at = (kernel && kernel->library == library) || (function && function->library == library) ? objects.erase(at) : std::next(at);
        }
        forget(handle);
        return CUDA_SUCCESS;
    }, handle);
}

CUresult CUDAAPI cuLibraryGetKernel(CUkernel* out, CUlibrary handle, const char* name) {
    return call("cuLibraryGetKernel", [&] {
        const auto library = find<Library>(handle);
        if (!library) return CUDA_ERROR_INVALID_HANDLE;
        for (int i = 0; i < library->kernels->count; i++) {
            if (strcmp(library->kernels->kernels[i].name, name) != 0) continue;
            const auto kernel = std::make_shared<KernelObject>();
            kernel->library = library;
            kernel->kernel = &library->kernels->kernels[i];
            *out = handle_of<CUkernel>(kernel);
            return CUDA_SUCCESS;
        }
        return CUDA_ERROR_NOT_FOUND;
    }, handle, name);
}

CUresult CUDAAPI cuKernelGetFunction(CUfunction* out, CUkernel handle) {
    return call_in_context("cuKernelGetFunction", [&](int device) {
        const auto kernel = find<KernelObject>(handle);
        if (!kernel) return CUDA_ERROR_INVALID_HANDLE;
        if (!has_code(state().devices[device].chip, *kernel->library->kernels)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
        CUfunction& known = functions[{device, kernel->kernel}];
        if (!find<Function>(known)) {
            const auto function = std::make_shared<Function>();
            function->device = device;
            function->owned = false;
            function->library = kernel->library;
            function->kernel = kernel->kernel;
            known = handle_of<CUfunction>(function);
        }
        *out = known;
        return CUDA_SUCCESS;
    }, handle);
}

CUresult CUDAAPI cuFuncSetAttribute(CUfunction handle, CUfunction_attribute which, int value) {
    return call_in_context("cuFuncSetAttribute", [&](int device) {
        const auto function = find<Function>(handle);
        if (!function || function->device != device) return CUDA_ERROR_INVALID_HANDLE;
        if (which == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) return CUDA_SUCCESS;
        int most = 0;
        cuDeviceGetAttribute(&most, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device);
        if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || value > most) return CUDA_ERROR_INVALID_VALUE;
        function->shared_limit = value;
        return CUDA_SUCCESS;
    }, handle, (int)which, value);
}

CUresult CUDAAPI cuFuncGetAttribute(int* out, CUfunction_attribute which, CUfunction handle) {
    return call_in_context("cuFuncGetAttribute", [&](int) {
        const auto function = find<Function>(handle);
        if (!function) return CUDA_ERROR_INVALID_HANDLE;
        if (which == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) *out = function->kernel->threads;
        else if (which == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) *out = function->shared_limit;
        else { report("cuFuncGetAttribute: the stand-in does not know attribute ", (int)which); return CUDA_ERROR_INVALID_VALUE; }
        return CUDA_SUCCESS;
    }, (int)which, handle);
}

CUresult CUDAAPI cuLaunchKernel(CUfunction handle, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z,
                                unsigned shared_bytes, CUstream stream_handle, void** values, void** extra) {
    return launch("cuLaunchKernel", handle, {x, y, z, threads, threads_y, threads_z, shared_bytes, stream_handle}, values, extra);
}

CUresult CUDAAPI cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction handle, void** values, void** extra) {
    const CUlaunchAttribute* attributes = config->attrs;
    if (config->numAttrs != 1 || attributes->id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION || attributes->value.programmaticStreamSerializationAllowed != 1) {
        report("cuLaunchKernelEx: the stand-in knows programmatic stream serialization alone");
        return CUDA_ERROR_INVALID_VALUE;
    }
    return launch("cuLaunchKernelEx", handle, *config, values, extra);
}

CUresult CUDAAPI cuLaunchCooperativeKernel(CUfunction handle, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z,
                                           unsigned shared_bytes, CUstream stream_handle, void** values) {
    return launch("cuLaunchCooperativeKernel", handle, {x, y, z, threads, threads_y, threads_z, shared_bytes, stream_handle}, values, nullptr, true);
}
}

/// The parameters of a kernel as lines of their letter, offset and bytes; empty where the image has no such kernel.
extern "C" __attribute__((visibility("default"))) const char* danu_standin_parameters(const char* image, const char* name) {
    static std::string text;
    const std::lock_guard<std::recursive_mutex> guard(state().lock);
    text.clear();
    const KernelLibrary* library = open(path_in(image));
    for (int i = 0; library && i < library->count; i++) {
        const Kernel& kernel = library->kernels[i];
        if (strcmp(kernel.name, name) != 0) continue;
        size_t offset = 0;
        for (int p = 0; p < kernel.count; p++) {
            const auto [bytes, alignment, pointer] = kernel.parameters[p];
            offset = (offset + alignment - 1) / alignment * alignment;
            text += kernel.signature[p] + (" " + std::to_string(offset)) + " " + std::to_string(bytes) + "\n";
            offset += bytes;
        }
        if (kernel.count == 0) text = "\n";
    }
    return text.c_str();
}
