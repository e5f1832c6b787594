/* Instructions on a warp's registers: per-lane arithmetic, comparisons, and those that look at other lanes.
 */
#include "inside.h"

void run_nothing(Warp *w, const Instruction *i, uint32_t mask) { (void)w, (void)i, (void)mask; }

void run_alu(Warp *w, const Instruction *i, uint32_t mask)
{
    bool fourth = i->n_operands == 5;
    EACH (lane, mask) {
        uint64_t a = get(w, i->a[0], lane), b = get(w, i->b[0], lane), c = get(w, i->c[0], lane);
        if (fourth) c = (uint32_t)c | get(w, i->e, lane) << 32;
        put(w, i->d[0], lane, keep_bits(i->alu(i, a, b, c), i->d_bits));
    }
}

/* add, sub, mad with a carry in (addc, subc, madc), a carry out (.cc), or both. */
void run_carry(Warp *w, const Instruction *i, uint32_t mask)
{
    bool takes = i->op == OP_addc || i->op == OP_subc || i->op == OP_madc;
    bool subtracts = i->op == OP_sub || i->op == OP_subc, multiplies = i->op == OP_mad || i->op == OP_madc;
    unsigned bits = type_bits((Type)i->type);
    EACH (lane, mask) {
        uint64_t a = get(w, i->a[0], lane), b = get(w, i->b[0], lane);
        if (multiplies) {
            a = keep_bits(alu_mul(i, a, b, 0), bits);
            b = get(w, i->c[0], lane);
        }
        uint64_t in = takes ? w->carry[lane] : 0;
        unsigned __int128 sum = subtracts ? (unsigned __int128)a - b - in : (unsigned __int128)a + b + in;
        put(w, i->d[0], lane, keep_bits((uint64_t)sum, bits));
        if (i->mod[CARRY]) w->carry[lane] = (uint8_t)(sum >> bits & 1);
    }
}

static uint32_t combine(const Warp *w, const Instruction *i, uint32_t results)
{
    uint32_t with = i->mod[LOGIC] ? get_bits(w, i->c[0]) ^ (i->not_c ? FULL : 0) : 0;
    switch (i->mod[LOGIC]) {
    case M_AND: return results & with;
    case M_OR: return results | with;
    case M_XOR: return results ^ with;
    default: return results;
    }
}

static uint32_t compare_lanes(const Warp *w, const Instruction *i, uint32_t mask)
{
    uint32_t results = 0;
    EACH (lane, mask) {
        uint64_t a = get(w, i->a[0], lane), b = get(w, i->b[0], lane);
        results |= (uint32_t)compare((Modifier)i->mod[COMPARE], (Type)i->from, i->mod[FTZ], a, b) << lane;
    }
    return results;
}

static void setp_results(const Warp *w, const Instruction *i, uint32_t mask, uint32_t results)
{
    uint32_t yes = combine(w, i, results), no = combine(w, i, ~results);
    if (i->d[0] != NO_SLOT) put_bits(w, i->d[0], mask, yes);
    if (i->d[1] != NO_SLOT) put_bits(w, i->d[1], mask, no);
}

void run_setp(Warp *w, const Instruction *i, uint32_t mask)
{
    setp_results(w, i, mask, compare_lanes(w, i, mask));
}

void run_set(Warp *w, const Instruction *i, uint32_t mask)
{
    uint64_t yes = i->type == T_f32 ? 0x3f800000 : keep_bits(UINT64_MAX, type_bits((Type)i->type));
    uint32_t results = combine(w, i, compare_lanes(w, i, mask));
    EACH (lane, mask) put(w, i->d[0], lane, results >> lane & 1 ? yes : 0);
}

void run_mov_pack(Warp *w, const Instruction *i, uint32_t mask)
{
    unsigned bits = type_bits((Type)i->type) / i->n;
    EACH (lane, mask) {
        uint64_t v = 0;
        for (uint32_t k = 0; k < i->n; k++) v |= keep_bits(get(w, i->a[k], lane), bits) << bits * k;
        put(w, i->d[0], lane, v);
    }
}

void run_mov_unpack(Warp *w, const Instruction *i, uint32_t mask)
{
    unsigned bits = type_bits((Type)i->type) / i->n;
    EACH (lane, mask) {
        uint64_t v = get(w, i->a[0], lane); /* the source may be among the results */
        for (uint32_t k = 0; k < i->n; k++)
            if (i->d[k] != NO_SLOT) put(w, i->d[k], lane, keep_bits(v >> bits * k, bits));
    }
}

/* ---- Other lanes ---- */

/* All lanes of the instruction's lane mask must be here, and every lane that is here must be in it. */
static bool members_here(Warp *w, int32_t slot, uint32_t mask)
{
    uint32_t members = (uint32_t)get(w, slot, (uint32_t)__builtin_ctz(mask));
    if (!warp_converged(w, mask, members)) return false;
    EACH (lane, mask)
        if (!(members >> lane & 1))
            run_fail(w, lane, "lane %u is not in the mask %08x of its instruction", lane, members);
    return true;
}

void run_activemask(Warp *w, const Instruction *i, uint32_t mask)
{
    EACH (lane, mask) put(w, i->d[0], lane, mask);
}

static uint32_t shuffle_source(const Instruction *i, uint32_t lane, uint32_t b, uint32_t c, bool *inside)
{
    uint32_t segment = c >> 8 & 31, clamp = c & 31;
    uint32_t low = lane & segment, high = low | (clamp & ~segment), from;
    b &= 31;
    switch (i->mod[SHUFFLE]) {
    case M_UP:
        from = lane - b;
        *inside = (int32_t)from >= (int32_t)high; /* .up: the clamp is a lower bound */
        break;
    case M_DOWN:
        from = lane + b;
        *inside = from <= high;
        break;
    case M_BFLY:
        from = lane ^ b;
        *inside = from <= high;
        break;
    default:
        from = low | (b & ~segment);
        *inside = from <= high;
        break;
    }
    return *inside ? from : lane;
}

void run_shfl(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!members_here(w, i->e, mask)) return;
    uint64_t result[LANES];
    bool inside[LANES];
    EACH (lane, mask) {
        uint32_t from = shuffle_source(i, lane, (uint32_t)get(w, i->b[0], lane),
                                       (uint32_t)get(w, i->c[0], lane), &inside[lane]);
        if (!(mask >> from & 1)) run_fail(w, lane, "a shuffle reads lane %u, which does not take part", from);
        result[lane] = get(w, i->a[0], from);
    }
    EACH (lane, mask) {
        if (i->d[0] != NO_SLOT) put(w, i->d[0], lane, result[lane]);
        if (i->d[1] != NO_SLOT) put(w, i->d[1], lane, inside[lane]);
    }
}

void run_vote(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!members_here(w, i->b[0], mask)) return;
    uint32_t yes = mask & (get_bits(w, i->a[0]) ^ (i->not_a ? FULL : 0));
    uint64_t result = i->mod[VOTE] == M_ALL   ? yes == mask
                      : i->mod[VOTE] == M_ANY ? yes != 0
                      : i->mod[VOTE] == M_UNI ? yes == mask || !yes
                                              : yes;
    EACH (lane, mask) put(w, i->d[0], lane, result);
}

void run_match(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!members_here(w, i->b[0], mask)) return;
    uint64_t own[LANES];
    const Wide *a = widened(w, i->a[0], own);
    uint32_t same[LANES];
    EACH (lane, mask) {
        same[lane] = 0;
        EACH (other, mask)
            if (a[other] == a[lane]) same[lane] |= 1u << other;
    }
    EACH (lane, mask) {
        bool all = same[lane] == mask;
        if (i->d[1] != NO_SLOT) put(w, i->d[1], lane, all);
        put(w, i->d[0], lane, i->mod[VOTE] == M_ANY || all ? same[lane] : 0);
    }
}

void run_redux(Warp *w, const Instruction *i, uint32_t mask)
{
    if (!members_here(w, i->b[0], mask)) return;
    uint64_t own[LANES];
    const Wide *a = widened(w, i->a[0], own);
    uint32_t first = (uint32_t)__builtin_ctz(mask);
    uint64_t r = a[first];
    EACH (lane, mask & ~(1u << first)) {
        switch (i->mod[LOGIC]) {
        case M_ADD: r = alu_add(i, r, a[lane], 0); break;
        case M_MIN: r = alu_min(i, r, a[lane], 0); break;
        case M_MAX: r = alu_max(i, r, a[lane], 0); break;
        case M_AND: r &= a[lane]; break;
        case M_OR: r |= a[lane]; break;
        default: r ^= a[lane]; break;
        }
    }
    EACH (lane, mask) put(w, i->d[0], lane, r);
}
