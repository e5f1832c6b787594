/* Memory: the allocations of the device, and what a lane may touch. */
#include "inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- Allocations ---- */
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

static bool add_allocation(PtxDevice *device, uint64_t address, size_t bytes, bool own)
{
    if (device->n == device->capacity) {
        uint32_t capacity = device->capacity ? device->capacity * 2 : 64;
        Allocation *grown = realloc(device->allocations, capacity * sizeof *grown);
        if (!grown) return false;
        device->allocations = grown;
        device->capacity = capacity;
    }
    uint32_t at = first_above(device, address);
    memmove(&device->allocations[at + 1], &device->allocations[at], (device->n - at) * sizeof(Allocation));
    device->allocations[at] = (Allocation){address, bytes, own};
    device->n++;
    return true;
}

uint64_t ptx_alloc(PtxDevice *device, size_t bytes)
{
    size_t rounded = (bytes + 255) / 256 * 256;
    void *at = rounded < bytes ? NULL : aligned_alloc(256, rounded ? rounded : 256);
    if (!at) return 0;
    memset(at, 0xff, rounded ? rounded : 256);
    if (add_allocation(device, (uint64_t)(uintptr_t)at, bytes, true)) return (uint64_t)(uintptr_t)at;
    free(at);
    return 0;
}

bool ptx_lend(PtxDevice *device, void *bytes, size_t size)
{
    return add_allocation(device, (uint64_t)(uintptr_t)bytes, size, false);
}

bool ptx_free(PtxDevice *device, uint64_t address)
{
    uint32_t at = first_above(device, address);
    if (at == 0 || device->allocations[at - 1].address != address) return false;
    if (device->allocations[at - 1].own) free((void *)(uintptr_t)address);
    memmove(&device->allocations[at - 1], &device->allocations[at], (device->n - at) * sizeof(Allocation));
    device->n--;
    return true;
}

void *ptx_bytes(PtxDevice *device, uint64_t address, size_t size)
{
    return memory_find(device, address, size) ? (void *)(uintptr_t)address : NULL;
}

/* ---- Accesses ---- */
static Space resolve(uint64_t *address)
{
    uint64_t window = *address & WINDOW_MASK;
    Space space = window == SHARED_WINDOW  ? SHARED
                  : window == LOCAL_WINDOW ? LOCAL
                  : window == PARAM_WINDOW ? PARAM
                                           : GLOBAL;
    if (space != GLOBAL) *address -= window;
    return space;
}

static const char *verb(Access access)
{
    return access.atomic ? "an atomic access" : access.write ? "a write" : "a read";
}

static unsigned char *global_at(Warp *w, uint32_t lane, uint64_t address, Access access)
{
    PtxDevice *device = w->block->device;
    if (memory_find(device, address, access.bytes)) return (unsigned char *)(uintptr_t)address;
    uint32_t at = first_above(device, address);
    const Allocation *before = at ? &device->allocations[at - 1] : NULL;
    if (before && address - before->address < before->bytes + ((uint64_t)1 << 32))
        run_fail(w, lane,
                 "%s of %u bytes of global memory out of bounds: at byte %llu of an allocation of %llu",
                 verb(access), access.bytes, (unsigned long long)(address - before->address),
                 (unsigned long long)before->bytes);
    run_fail(w, lane, "%s of %u bytes of global memory at 0x%llx, where there is no allocation", verb(access),
             access.bytes, (unsigned long long)address);
}

static unsigned char *bounded(Warp *w, uint32_t lane, uint64_t address, Access access, unsigned char *bytes,
                              uint32_t n, const char *name)
{
    if (address + access.bytes <= n && address <= n) return bytes + address;
    run_fail(w, lane, "%s of %u bytes of %s memory out of bounds: at byte %lld of %u", verb(access),
             access.bytes, name, (long long)address, n);
}

unsigned char *memory_at(Warp *w, Space *space, uint32_t lane, uint64_t *address, Access access)
{
    Block *b = w->block;
    if (*space == GENERIC) *space = resolve(address);
    if (*address % access.bytes)
        run_fail(w, lane, "%s of %u bytes at 0x%llx, which is not aligned", verb(access), access.bytes,
                 (unsigned long long)*address);
    switch (*space) {
    case SHARED: return shared_at(w, lane, *address, access);
    case LOCAL:
        return bounded(w, lane, *address, access,
                       b->local + (size_t)(w->first_thread + lane) * b->local_bytes, b->local_bytes, "local");
    case PARAM:
        if (access.write) run_fail(w, lane, "a write to a parameter of the kernel");
        return bounded(w, lane, *address, access, (unsigned char *)(uintptr_t)b->launch->params,
                       b->function->params_size, "parameter");
    case CONSTANT:
        if (access.write) run_fail(w, lane, "a write to constant memory");
        return global_at(w, lane, *address, access);
    default: return global_at(w, lane, *address, access);
    }
}

void run_load(Warp *w, const Instruction *i, uint32_t mask)
{
    const uint64_t *base = lanes_of(w, i->b[0]);
    uint64_t where[LANES];
    uint32_t size = i->bytes / i->n;
    Space space = GENERIC;
    EACH (lane, mask) {
        where[lane] = base[lane] + (uint64_t)i->offset;
        space = (Space)i->space;
        const unsigned char *at = memory_at(w, &space, lane, &where[lane], (Access){i->bytes, false, false});
        for (uint32_t k = 0; k < i->n; k++, at += size) {
            uint64_t v = 0;
            memcpy(&v, at, size);
            if (i->d[k] != NO_SLOT)
                lanes_of(w, i->d[k])[lane] = keep_bits(widen((Type)i->type, v), i->d_bits);
        }
    }
    traffic_count(w, space, where, mask, i->bytes);
}

void run_store(Warp *w, const Instruction *i, uint32_t mask)
{
    const uint64_t *base = lanes_of(w, i->b[0]);
    uint64_t where[LANES];
    uint32_t size = i->bytes / i->n;
    Space space = GENERIC;
    EACH (lane, mask) {
        where[lane] = base[lane] + (uint64_t)i->offset;
        space = (Space)i->space;
        unsigned char *at = memory_at(w, &space, lane, &where[lane], (Access){i->bytes, true, false});
        for (uint32_t k = 0; k < i->n; k++, at += size) memcpy(at, &lanes_of(w, i->a[k])[lane], size);
    }
    traffic_count(w, space, where, mask, i->bytes);
}

static uint64_t atomic_value(Warp *w, const Instruction *i, uint32_t lane, uint64_t old)
{
    uint64_t v = lanes_of(w, i->a[0])[lane];
    Type t = (Type)i->type;
    switch (i->mod[LOGIC]) {
    case M_ADD: return alu_add(i, old, v, 0);
    case M_MIN: return alu_min(i, old, v, 0);
    case M_MAX: return alu_max(i, old, v, 0);
    case M_AND: return old & v;
    case M_OR: return old | v;
    case M_XOR: return old ^ v;
    case M_EXCH: return v;
    case M_INC: return old >= v ? 0 : old + 1;
    case M_DEC: return old == 0 || old > v ? v : old - 1;
    case M_CAS: return old == keep_bits(v, type_bits(t)) ? lanes_of(w, i->c[0])[lane] : old;
    default: run_fail(w, lane, "an atomic operation of this name is not known");
    }
}

void run_atom(Warp *w, const Instruction *i, uint32_t mask)
{
    const uint64_t *base = lanes_of(w, i->b[0]);
    EACH (lane, mask) {
        uint64_t where = base[lane] + (uint64_t)i->offset, old = 0;
        Space space = (Space)i->space;
        unsigned char *at = memory_at(w, &space, lane, &where, (Access){i->bytes, true, true});
        memcpy(&old, at, i->bytes);
        uint64_t v = atomic_value(w, i, lane, old);
        memcpy(at, &v, i->bytes);
        if (i->d[0] != NO_SLOT) lanes_of(w, i->d[0])[lane] = old;
    }
}
