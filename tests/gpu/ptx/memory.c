/* Loads, stores and atomic operations: which memory an address is in, and what a lane may touch there. */
#include "inside.h"

#include <string.h>

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

static unsigned char *bounded(Warp *w, uint32_t lane, uint64_t address, Access access, unsigned char *bytes,
                              uint32_t n, const char *name)
{
    if (address + access.bytes <= n && address <= n) return bytes + address;
    run_fail(w, lane, "%s of %u bytes of %s memory out of bounds: at byte %lld of %u", access_verb(access),
             access.bytes, name, (long long)address, n);
}

unsigned char *memory_at(Warp *w, Space *space, uint32_t lane, uint64_t *address, Access access)
{
    Block *b = w->block;
    if (*space == GENERIC) *space = resolve(address);
    if (*address % access.bytes)
        run_fail(w, lane, "%s of %u bytes at 0x%llx, which is not aligned", access_verb(access), access.bytes,
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
        const unsigned char *at =
            memory_at(w, &space, lane, &where[lane], (Access){.bytes = i->bytes, .strong = i->strong});
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
        unsigned char *at = memory_at(w, &space, lane, &where[lane],
                                      (Access){.bytes = i->bytes, .write = true, .strong = i->strong});
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
        unsigned char *at =
            memory_at(w, &space, lane, &where,
                      (Access){.bytes = i->bytes, .write = true, .atomic = true, .strong = true});
        memcpy(&old, at, i->bytes);
        uint64_t v = atomic_value(w, i, lane, old);
        memcpy(at, &v, i->bytes);
        if (i->d[0] != NO_SLOT) lanes_of(w, i->d[0])[lane] = old;
    }
}
