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

void request_shape(Request *r)
{
    uint64_t base = r->at[r->first], differ = 0, apart = 0, step = r->access.bytes;
    uint32_t from_first = r->mask >> r->first;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        differ |= r->at[lane] ^ base;
        uint64_t next = base + (lane - r->first) * step;
        apart |= r->mask >> lane & 1 ? r->at[lane] ^ next : 0;
    }
    bool neighbours = !(from_first & (from_first + 1));
    r->shape = !differ ? TOGETHER : !apart && neighbours ? IN_ORDER : SCATTERED;
}

/* All in one space, and aligned? */
static bool resolve_all(Request *r)
{
    uint64_t windows = 0, low = 0, window = r->at[r->first] & WINDOW_MASK;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        windows |= (r->at[lane] ^ window) & WINDOW_MASK;
        low |= r->at[lane];
    }
    if (low % r->access.bytes) return false;
    if (r->space != GENERIC) return true;
    if (windows) return false;
    uint64_t base = r->at[r->first];
    r->space = resolve(&base);
    for (uint32_t lane = 0; lane < LANES && r->space != GLOBAL; lane++) r->at[lane] -= window;
    return true;
}

static bool request_allowed(Warp *w, Request *r)
{
    if (!resolve_all(r)) return false;
    request_shape(r);
    unsigned char *base = NULL;
    if (r->space == GLOBAL || r->space == CONSTANT) {
        if (r->access.write && r->space == CONSTANT) return false;
        if (!global_request(w, r)) return false;
    } else if (r->space == SHARED) {
        if (!shared_request(w, r)) return false;
        base = w->block->shared;
    } else {
        return false;
    }
    for (uint32_t lane = 0; lane < LANES; lane++)
        r->bytes[lane] = (unsigned char *)((uintptr_t)base + r->at[lane]);
    return true;
}

void memory_request(Warp *w, Request *r)
{
    if (!request_allowed(w, r)) {
        Space space = r->space;
        EACH (lane, r->mask) {
            r->space = space;
            r->bytes[lane] = memory_at(w, &r->space, lane, &r->at[lane], r->access);
        }
        for (uint32_t lane = 0; lane < LANES; lane++)
            if (!(r->mask >> lane & 1)) {
                r->at[lane] = r->at[r->first];
                r->bytes[lane] = r->bytes[r->first];
            }
        request_shape(r);
    }
    traffic_count(w, r);
}

static void request(Warp *w, const Instruction *i, uint32_t mask, bool write, Request *r)
{
    uint64_t own[LANES];
    const Wide *base = widened(w, i->b[0], own);
    r->access = (Access){.bytes = i->bytes, .write = write, .strong = i->strong};
    r->space = (Space)i->space;
    r->mask = mask;
    r->first = (uint32_t)__builtin_ctz(mask);
    for (uint32_t lane = 0; lane < LANES; lane++) r->at[lane] = base[lane] + (uint64_t)i->offset;
    for (uint32_t lane = 0; mask != FULL && lane < LANES; lane++)
        if (!(mask >> lane & 1)) r->at[lane] = r->at[r->first];
    memory_request(w, r);
}

static uint64_t load_bytes(const unsigned char *at, uint32_t size)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: return memcpy(&one, at, 1), one;
    case 2: return memcpy(&two, at, 2), two;
    case 4: return memcpy(&four, at, 4), four;
    default: return memcpy(&eight, at, 8), eight;
    }
}

/* Element k of the vector. */
static void load_element(Warp *w, const Instruction *i, const Request *r, uint32_t k)
{
    uint32_t size = i->bytes / i->n, v[LANES];
    bool plain = size == 4 && slot_width(i->d[k]) == WORD;
    if (i->d[k] == NO_SLOT) return;
    if (plain && r->shape == IN_ORDER && i->n == 1 && r->mask == FULL) {
        memcpy(words(w, i->d[k]), r->bytes[0], sizeof v);
    } else if (plain) {
        for (uint32_t lane = 0; lane < LANES; lane++) memcpy(&v[lane], r->bytes[lane] + 4 * k, 4);
        put_words(w, i->d[k], r->mask, v);
    } else {
        EACH (lane, r->mask) {
            uint64_t one = load_bytes(r->bytes[lane] + size * k, size);
            put(w, i->d[k], lane, keep_bits(widen((Type)i->type, one), i->d_bits));
        }
    }
}

void run_load(Warp *w, const Instruction *i, uint32_t mask)
{
    Request r;
    request(w, i, mask, false, &r);
    for (uint32_t k = 0; k < i->n; k++) load_element(w, i, &r, k);
}

void run_store(Warp *w, const Instruction *i, uint32_t mask)
{
    Request r;
    uint32_t size = i->bytes / i->n;
    request(w, i, mask, true, &r);
    for (uint32_t k = 0; k < i->n; k++)
        if (size == 4 && slot_width(i->a[k]) == WORD)
            EACH (lane, mask) memcpy(r.bytes[lane] + 4 * k, &words(w, i->a[k])[lane], 4);
        else
            EACH (lane, mask) {
                uint64_t v = get(w, i->a[k], lane);
                memcpy(r.bytes[lane] + size * k, &v, size);
            }
}

static uint64_t atomic_value(Warp *w, const Instruction *i, uint32_t lane, uint64_t old)
{
    uint64_t v = get(w, i->a[0], lane);
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
    case M_CAS: return old == keep_bits(v, type_bits(t)) ? get(w, i->c[0], lane) : old;
    default: run_fail(w, lane, "an atomic operation of this name is not known");
    }
}

void run_atom(Warp *w, const Instruction *i, uint32_t mask)
{
    EACH (lane, mask) {
        uint64_t where = get(w, i->b[0], lane) + (uint64_t)i->offset, old = 0;
        Space space = (Space)i->space;
        unsigned char *at =
            memory_at(w, &space, lane, &where,
                      (Access){.bytes = i->bytes, .write = true, .atomic = true, .strong = true});
        memcpy(&old, at, i->bytes);
        uint64_t v = atomic_value(w, i, lane, old);
        memcpy(at, &v, i->bytes);
        if (i->d[0] != NO_SLOT) put(w, i->d[0], lane, old);
    }
}
