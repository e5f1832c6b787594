/* Global memory: the allocations of the device, and their shadow: which bytes were ever written, and which
 * block of this launch wrote or read them last (by granules, as large as the kernel's least access).
 *
 * Blocks of one launch are not ordered: what one writes no other may touch, unless both accesses are strong
 * (atomic, volatile, relaxed and so on). A block that meets another's strong write by a strong access is
 * taken to have synchronised with all before it, as the last block of a reduction does: it is not asked any
 * more. */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRONG 0x80000000u
#define SHADOW_MAX ((size_t)64 << 20) /* larger allocations have no shadow */

static uint32_t first_above(const PtxDevice *device, uint64_t address) /* binary search */
{
    uint32_t low = 0, high = device->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (device->allocations[middle].address > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool inside(const Allocation *a, uint64_t address, size_t bytes)
{
    return address >= a->address && address - a->address <= a->bytes &&
           bytes <= a->bytes - (address - a->address);
}

const Allocation *memory_find(PtxDevice *device, uint64_t address, size_t bytes)
{
    if (device->recent < device->n && inside(&device->allocations[device->recent], address, bytes))
        return &device->allocations[device->recent];
    uint32_t at = first_above(device, address);
    if (at == 0 || !inside(&device->allocations[at - 1], address, bytes)) return NULL;
    device->recent = at - 1;
    return &device->allocations[at - 1];
}

static void free_shadow(Allocation *a)
{
    free(a->written);
    free(a->writer);
    free(a->reader);
    if (a->own) free((void *)(uintptr_t)a->address);
}

static bool add_allocation(PtxDevice *device, Allocation a)
{
    if (device->n == device->capacity) {
        uint32_t capacity = device->capacity ? device->capacity * 2 : 64;
        Allocation *grown = realloc(device->allocations, capacity * sizeof *grown);
        if (!grown) return false;
        device->allocations = grown;
        device->capacity = capacity;
    }
    uint32_t at = first_above(device, a.address);
    memmove(&device->allocations[at + 1], &device->allocations[at], (device->n - at) * sizeof(Allocation));
    device->allocations[at] = a;
    device->n++;
    return true;
}

uint64_t ptx_alloc(PtxDevice *device, size_t bytes)
{
    size_t rounded = bytes ? (bytes + 255) / 256 * 256 : 256;
    void *at = rounded < bytes ? NULL : aligned_alloc(256, rounded);
    if (!at) return 0;
    memset(at, 0xff, rounded);
    Allocation a = {.address = (uint64_t)(uintptr_t)at, .bytes = bytes, .own = true};
    if (bytes <= SHADOW_MAX) {
        a.written = calloc(bytes + 1, 1);
        a.writer = calloc(bytes + 1, sizeof *a.writer); /* a granule may be a byte */
        a.reader = calloc(bytes + 1, sizeof *a.reader);
    }
    if ((bytes > SHADOW_MAX || (a.written && a.writer && a.reader)) && add_allocation(device, a))
        return a.address;
    free_shadow(&a);
    return 0;
}

bool ptx_lend(PtxDevice *device, void *bytes, size_t size)
{
    return add_allocation(device, (Allocation){.address = (uint64_t)(uintptr_t)bytes, .bytes = size});
}

bool ptx_free(PtxDevice *device, uint64_t address)
{
    uint32_t at = first_above(device, address);
    if (at == 0 || device->allocations[at - 1].address != address) return false;
    free_shadow(&device->allocations[at - 1]);
    memmove(&device->allocations[at - 1], &device->allocations[at], (device->n - at) * sizeof(Allocation));
    device->n--;
    return true;
}

void memory_free_all(PtxDevice *device)
{
    for (uint32_t k = 0; k < device->n; k++) free_shadow(&device->allocations[k]);
    free(device->allocations);
}

const void *ptx_read(PtxDevice *device, uint64_t address, size_t size)
{
    return memory_find(device, address, size) ? (const void *)(uintptr_t)address : NULL;
}

void *ptx_bytes(PtxDevice *device, uint64_t address, size_t size)
{
    const Allocation *a = memory_find(device, address, size);
    if (a && a->written) memset(a->written + (address - a->address), 1, size);
    return a ? (void *)(uintptr_t)address : NULL;
}

/* ---- Who did what in this launch ---- */

/* Blocks of a launch have stamps above `device->launch`, which itself stands for several readers. */
void memory_begin_launch(PtxDevice *device, uint64_t blocks)
{
    device->launch = device->stamp + 1;
    if (device->launch + blocks < STRONG) {
        device->stamp = (uint32_t)(device->launch + blocks);
        return;
    }
    for (uint32_t k = 0; k < device->n; k++) { /* stamps have run out: forget everything */
        Allocation *a = &device->allocations[k];
        if (!a->writer) continue;
        memset(a->writer, 0, a->bytes * sizeof *a->writer);
        memset(a->reader, 0, a->bytes * sizeof *a->reader);
    }
    device->launch = 1;
    device->stamp = (uint32_t)(1 + blocks);
}

static bool is_other(const Block *b, uint32_t stamp)
{
    return stamp >= b->device->launch && stamp != b->stamp;
}

static _Noreturn void race(Warp *w, uint32_t lane, const Allocation *a, uint64_t at, Access access,
                           uint32_t other, bool wrote)
{
    uint32_t launch = w->block->device->launch;
    char who[32] = "another block";
    if (other > launch) snprintf(who, sizeof who, "block number %u", other - launch - 1);
    run_fail(w, lane,
             "race in global memory: %s byte %llu of an allocation of %llu, which %s %s in this launch",
             access.write ? "writes" : "reads", (unsigned long long)at, (unsigned long long)a->bytes, who,
             wrote ? "wrote" : "read");
}

static bool all_written(const Allocation *a, uint64_t first, size_t bytes)
{
    size_t k = 0;
    uint64_t eight;
    if (bytes == 4) { /* often */
        uint32_t four;
        return memcpy(&four, a->written + first, 4), four == 0x01010101;
    }
    for (; k + 8 <= bytes; k += 8) {
        memcpy(&eight, a->written + first + k, 8);
        if (eight != 0x0101010101010101) return false;
    }
    for (; k < bytes; k++)
        if (!a->written[first + k]) return false;
    return true;
}

static void check_written(Warp *w, uint32_t lane, const Allocation *a, uint64_t first, size_t bytes)
{
    if (all_written(a, first, bytes)) return;
    while (a->written[first]) first++;
    run_fail(w, lane, "a read of byte %llu of an allocation of %llu bytes, which nobody wrote",
             (unsigned long long)first, (unsigned long long)a->bytes);
}

static void check_granule(Warp *w, uint32_t lane, const Allocation *a, uint64_t g, Access access)
{
    Block *b = w->block;
    uint32_t writer = a->writer[g] & ~STRONG;
    uint64_t at = g * b->function->global_granule;
    if (is_other(b, writer)) {
        if (access.strong && a->writer[g] & STRONG)
            b->synchronised = true; /* it may have waited for that one */
        else if (!b->synchronised)
            race(w, lane, a, at, access, writer, true);
    }
    if (access.write) {
        if (is_other(b, a->reader[g]) && !b->synchronised) race(w, lane, a, at, access, a->reader[g], false);
        a->writer[g] = b->stamp | (access.strong ? STRONG : 0);
    } else if (!access.strong) {
        a->reader[g] = is_other(b, a->reader[g]) ? b->device->launch : b->stamp;
    }
}

/* Nobody else has written these granules in this launch, nor read them where this is a write. */
static bool untouched(const Block *b, const Allocation *a, uint64_t first, uint64_t last, bool write)
{
    uint32_t launch = b->device->launch, own = b->stamp, others = 0;
    for (uint64_t g = first; g <= last; g++) others |= (a->writer[g] >= launch) & (a->writer[g] != own);
    for (uint64_t g = first; write && g <= last; g++)
        others |= (a->reader[g] >= launch) & (a->reader[g] != own);
    return !others;
}

static void note(const Block *b, const Allocation *a, uint64_t first, uint64_t last, bool write)
{
    uint32_t launch = b->device->launch, own = b->stamp;
    for (uint64_t g = first; write && g <= last; g++) a->writer[g] = own;
    for (uint64_t g = first; !write && g <= last; g++)
        a->reader[g] = a->reader[g] >= launch && a->reader[g] != own ? launch : own;
}

/* The bytes from `first` on: is the access allowed, and what it leaves behind. */
static bool allowed(const Block *b, const Allocation *a, uint64_t first, size_t bytes, bool write)
{
    unsigned shift = b->granule_shift;
    if (!write && !all_written(a, first, bytes)) return false;
    return b->alone || untouched(b, a, first >> shift, (first + bytes - 1) >> shift, write);
}

static void leave(const Block *b, const Allocation *a, uint64_t first, size_t bytes, bool write)
{
    unsigned shift = b->granule_shift;
    if (write) memset(a->written + first, 1, bytes);
    if (!b->alone) note(b, a, first >> shift, (first + bytes - 1) >> shift, write);
}

static bool scattered_request(const Block *b, const Request *r)
{
    uint64_t low = r->at[0], high = low;
    for (uint32_t lane = 1; lane < LANES; lane++) {
        low = r->at[lane] < low ? r->at[lane] : low;
        high = r->at[lane] > high ? r->at[lane] : high;
    }
    if (high - low >= UINT32_MAX) return false;
    const Allocation *a = memory_find(b->device, low, high - low + r->access.bytes);
    if (!a || !a->written) return a != NULL;
    EACH (lane, r->mask)
        if (!allowed(b, a, r->at[lane] - a->address, r->access.bytes, r->access.write)) return false;
    if (!r->access.write && b->alone) return true;
    EACH (lane, r->mask) leave(b, a, r->at[lane] - a->address, r->access.bytes, r->access.write);
    return true;
}

bool global_request(Warp *w, const Request *r)
{
    const Block *b = w->block;
    size_t bytes = r->access.bytes * (r->shape == IN_ORDER ? (size_t)__builtin_popcount(r->mask) : 1);
    if (r->access.strong || r->access.atomic) return false;
    if (r->shape == SCATTERED) return scattered_request(b, r);
    const Allocation *a = memory_find(b->device, r->at[r->first], bytes);
    if (!a || !a->written) return a != NULL;
    uint64_t first = r->at[r->first] - a->address;
    if (!allowed(b, a, first, bytes, r->access.write)) return false;
    leave(b, a, first, bytes, r->access.write);
    return true;
}

const char *access_verb(Access access)
{
    return access.atomic ? "an atomic access" : access.write ? "a write" : "a read";
}

static _Noreturn void out_of_bounds(Warp *w, uint32_t lane, uint64_t address, Access access)
{
    const PtxDevice *device = w->block->device;
    uint32_t at = first_above(device, address);
    const Allocation *before = at ? &device->allocations[at - 1] : NULL;
    if (before && address - before->address < before->bytes + ((uint64_t)1 << 32))
        run_fail(w, lane,
                 "%s of %u bytes of global memory out of bounds: at byte %llu of an allocation of %llu",
                 access_verb(access), access.bytes, (unsigned long long)(address - before->address),
                 (unsigned long long)before->bytes);
    run_fail(w, lane, "%s of %u bytes of global memory at 0x%llx, where there is no allocation",
             access_verb(access), access.bytes, (unsigned long long)address);
}

unsigned char *global_at(Warp *w, uint32_t lane, uint64_t address, Access access)
{
    const Allocation *a = memory_find(w->block->device, address, access.bytes);
    if (!a) out_of_bounds(w, lane, address, access);
    if (!a->written) return (unsigned char *)(uintptr_t)address;
    uint32_t granule = w->block->function->global_granule;
    uint64_t first = address - a->address, last = first + access.bytes - 1;
    if (!access.write || access.atomic) check_written(w, lane, a, first, access.bytes);
    if (!w->block->alone)
        for (uint64_t g = first / granule; g <= last / granule; g++) check_granule(w, lane, a, g, access);
    if (access.write) memset(a->written + first, 1, access.bytes);
    return (unsigned char *)(uintptr_t)address;
}
