// Device memory with fences: each allocation ends where a page ends that nobody may touch, addresses do not come back.
#pragma once
#include <optional>

#include "state.h"

namespace standin {
struct Allocation { size_t bytes; int device; long serial; };

/// @returns null where the device has no such amount left
CUdeviceptr allocate(int device, size_t bytes);
/// @returns false where nothing of that device begins there
bool release(CUdeviceptr address);
std::optional<Allocation> allocation_at(CUdeviceptr address);
/// The allocation that an address lies in, or just after.
std::optional<Allocation> allocation_around(CUdeviceptr address);
bool is_device_memory(const void* address);
/// Whether all bytes belong to one allocation.
bool is_inside(CUdeviceptr address, size_t bytes);
/// Where an address lies, in words, for messages.
std::string place(CUdeviceptr address);
/// Writes down the allocations whose fences were written to since the last time, and by whom.
bool fences_hold(const std::string& who);
long live_allocations(int device);
/// Frees all memory of a device. @returns what was there
long release_all(int device);

/// Memory of the host that the GPU reads and writes.
void* allocate_pinned(int device, size_t bytes);
bool release_pinned(void* address);
bool is_pinned(const void* address, size_t bytes);
long live_pinned(int device);
long release_all_pinned(int device);
}  // namespace standin
