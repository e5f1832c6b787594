/* Integer, bit and select instructions of one lane. Registers hold values zero-extended to 64 bits. */
#include "inside.h"

uint64_t widen(Type t, uint64_t v)
{
    unsigned bits = type_bits(t);
    v = keep_bits(v, bits);
    if (type_kind(t) != SIGNED || bits == 64) return v;
    return (v ^ (1ull << (bits - 1))) - (1ull << (bits - 1));
}

static Type type_of(const Instruction *i) { return (Type)i->type; }
static unsigned bits_of(const Instruction *i) { return type_bits(type_of(i)); }
static bool is_float(const Instruction *i) { return type_kind(type_of(i)) == FLOAT; }
static bool is_signed(const Instruction *i) { return type_kind(type_of(i)) == SIGNED; }
static uint64_t narrow(const Instruction *i, uint64_t v) { return keep_bits(v, bits_of(i)); }

#define FUNCTION(name) uint64_t alu_##name(const Instruction *i, uint64_t a, uint64_t b, uint64_t c)
#define UNUSED(...) UNUSED_(__VA_ARGS__, 0, 0)
#define UNUSED_(x, y, z, ...) ((void)(x), (void)(y), (void)(z))

static uint64_t saturate(int64_t v)
{
    return (uint32_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}

FUNCTION(add)
{
    if (is_float(i)) return float_op(F_ADD, i, a, b, c);
    if (i->mod[SAT]) return saturate((int64_t)(widen(T_s32, a) + widen(T_s32, b)));
    return narrow(i, a + b);
}

FUNCTION(sub)
{
    if (is_float(i)) return float_op(F_SUB, i, a, b, c);
    if (i->mod[SAT]) return saturate((int64_t)(widen(T_s32, a) - widen(T_s32, b)));
    return narrow(i, a - b);
}

static uint64_t product(const Instruction *i, uint64_t a, uint64_t b)
{
    uint64_t x = widen(type_of(i), a), y = widen(type_of(i), b);
    if (i->mod[HALF] != M_HI) return x * y; /* .wide: of at most 32 bits, so that nothing is lost */
    if (bits_of(i) < 64) return x * y >> bits_of(i);
    unsigned __int128 full =
        is_signed(i) ? (unsigned __int128)((__int128)(int64_t)x * (int64_t)y) : (unsigned __int128)x * y;
    return (uint64_t)(full >> 64);
}

static uint64_t keep_product(const Instruction *i, uint64_t v)
{
    return keep_bits(v, i->mod[HALF] == M_WIDE ? 2 * bits_of(i) : bits_of(i));
}

FUNCTION(mul)
{
    if (is_float(i)) return float_op(F_MUL, i, a, b, c);
    return keep_product(i, product(i, a, b));
}

FUNCTION(mad)
{
    if (is_float(i)) return float_op(F_FMA, i, a, b, c);
    return keep_product(i, product(i, a, b) + c);
}

static uint64_t product24(const Instruction *i, uint64_t a, uint64_t b)
{
    uint64_t x = a & 0xffffff, y = b & 0xffffff;
    if (is_signed(i)) {
        x = (x ^ 0x800000) - 0x800000;
        y = (y ^ 0x800000) - 0x800000;
    }
    return i->mod[HALF] == M_HI ? x * y >> 16 : x * y; /* 48 bits: .hi is the upper 32 of them */
}

FUNCTION(mul24) { return UNUSED(c), narrow(i, product24(i, a, b)); }
FUNCTION(mad24) { return narrow(i, product24(i, a, b) + c); }

FUNCTION(div)
{
    if (is_float(i)) return float_op(F_DIV, i, a, b, c);
    uint64_t x = widen(type_of(i), a), y = widen(type_of(i), b);
    if (y == 0) return narrow(i, UINT64_MAX); /* the ISA leaves it open: all ones, as devices do */
    if (!is_signed(i)) return x / y;
    return narrow(i, y == UINT64_MAX ? 0 - x : (uint64_t)((int64_t)x / (int64_t)y));
}

FUNCTION(rem)
{
    UNUSED(c);
    uint64_t x = widen(type_of(i), a), y = widen(type_of(i), b);
    if (y == 0) return a;
    if (!is_signed(i)) return x % y;
    return narrow(i, y == UINT64_MAX ? 0 : (uint64_t)((int64_t)x % (int64_t)y));
}

FUNCTION(neg) { return is_float(i) ? float_op(F_NEG, i, a, b, c) : narrow(i, 0 - a); }

FUNCTION(abs)
{
    if (is_float(i)) return float_op(F_ABS, i, a, b, c);
    int64_t v = (int64_t)widen(type_of(i), a);
    return narrow(i, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static bool less(const Instruction *i, uint64_t a, uint64_t b)
{
    uint64_t x = widen(type_of(i), a), y = widen(type_of(i), b);
    return is_signed(i) ? (int64_t)x < (int64_t)y : x < y;
}

FUNCTION(min)
{
    if (is_float(i)) return float_op(F_MIN, i, a, b, c);
    uint64_t v = less(i, a, b) ? a : b;
    return i->mod[RELU] && less(i, v, 0) ? 0 : v;
}

FUNCTION(max)
{
    if (is_float(i)) return float_op(F_MAX, i, a, b, c);
    uint64_t v = less(i, a, b) ? b : a;
    return i->mod[RELU] && less(i, v, 0) ? 0 : v;
}

FUNCTION(sad)
{
    return narrow(i, c + (less(i, a, b) ? widen(type_of(i), b) - widen(type_of(i), a)
                                        : widen(type_of(i), a) - widen(type_of(i), b)));
}

FUNCTION(and) { return UNUSED(i, c), a & b; }
FUNCTION(or) { return UNUSED(i, c), a | b; }
FUNCTION(xor) { return UNUSED(i, c), a ^ b; }
FUNCTION(not) { return UNUSED(b, c), narrow(i, ~a); }
FUNCTION(cnot) { return UNUSED(i, b, c), a == 0; }

/* Bit n of the table is the result where the bits of a, b and c are those of n, a's the highest. */
FUNCTION(lop3)
{
    (void)i;
    uint32_t x = (uint32_t)a, y = (uint32_t)b, z = (uint32_t)c, result = 0;
    for (unsigned n = 0; n < 8; n++)
        if (c >> (32 + n) & 1) result |= (n & 4 ? x : ~x) & (n & 2 ? y : ~y) & (n & 1 ? z : ~z);
    return result;
}

FUNCTION(shl)
{
    (void)c;
    uint32_t n = (uint32_t)b;
    return n >= bits_of(i) ? 0 : narrow(i, a << n);
}

FUNCTION(shr)
{
    (void)c;
    uint32_t n = (uint32_t)b < bits_of(i) ? (uint32_t)b : bits_of(i);
    if (!is_signed(i)) return n >= 64 ? 0 : widen(type_of(i), a) >> n;
    return narrow(i, (uint64_t)((int64_t)widen(type_of(i), a) >> (n < 64 ? n : 63)));
}

FUNCTION(shf)
{
    uint32_t n = i->mod[WRAP] == M_WRAP ? (uint32_t)c & 31 : (uint32_t)c < 32 ? (uint32_t)c : 32;
    uint64_t both = b << 32 | a;
    if (i->mod[SHIFT] == M_RIGHT) return (uint32_t)(both >> n);
    return (uint32_t)((both << n) >> 32); /* n is 32: the low word */
}

FUNCTION(bfe)
{
    unsigned top = bits_of(i) - 1, from = b & 0xff, length = c & 0xff;
    uint64_t field = from > top ? 0 : narrow(i, a) >> from;
    if (length < 64) field &= (1ull << length) - 1;
    unsigned last = from + length - 1 < top ? from + length - 1 : top;
    bool sign = is_signed(i) && length && a >> last & 1;
    unsigned kept = from > top ? 0 : last - from + 1;
    if (sign && kept < 64) field |= ~((1ull << kept) - 1);
    return narrow(i, field);
}

FUNCTION(bfi) /* a into b, at c, so many bits as its upper half says */
{
    unsigned from = c & 0xff, length = c >> 32 & 0xff;
    if (from >= bits_of(i)) return b;
    uint64_t mask = (length < 64 ? (1ull << length) - 1 : UINT64_MAX) << from;
    return narrow(i, (b & ~mask) | (a << from & mask));
}

FUNCTION(bfind)
{
    UNUSED(b, c);
    uint64_t v = widen(type_of(i), a);
    if (is_signed(i) && (int64_t)v < 0) v = ~v;
    if (v == 0) return 0xffffffff;
    unsigned at = 63 - (unsigned)__builtin_clzll(v);
    return i->mod[SHIFTAMT] ? bits_of(i) - 1 - at : at;
}

FUNCTION(bmsk)
{
    (void)c;
    bool wrap = i->mod[WRAP] == M_WRAP;
    uint64_t from = wrap ? a & 31 : a > 32 ? 32 : a, length = wrap ? b & 31 : b > 32 ? 32 : b;
    return (uint32_t)(((1ull << length) - 1) << from);
}

FUNCTION(szext)
{
    (void)c;
    uint64_t n = i->mod[WRAP] == M_WRAP ? b & 31 : b > 32 ? 32 : b;
    if (n == 0) return 0;
    uint64_t v = a & ((1ull << n) - 1), sign = 1ull << (n - 1);
    return narrow(i, is_signed(i) ? (v ^ sign) - sign : v);
}

FUNCTION(brev)
{
    UNUSED(b, c);
    uint64_t result = 0;
    for (unsigned n = 0; n < bits_of(i); n++) result |= (a >> n & 1) << (bits_of(i) - 1 - n);
    return result;
}

FUNCTION(clz) { return UNUSED(b, c), a ? (uint64_t)__builtin_clzll(a) - (64 - bits_of(i)) : bits_of(i); }
FUNCTION(popc) { return UNUSED(i, b, c), (uint64_t)__builtin_popcountll(a); }

/* The four selectors of a mode other than the default, which takes them from c. */
static unsigned selectors(Modifier mode, unsigned c)
{
    unsigned n = c & 3, s = 0;
    for (unsigned k = 0; k < 4; k++) {
        unsigned at = mode == M_F4E   ? n + k
                      : mode == M_B4E ? (n - k) & 7
                      : mode == M_RC8 ? n
                      : mode == M_ECL ? (k > n ? k : n)
                      : mode == M_ECR ? (k < n ? k : n)
                                      : (n & 1) * 2 + (k & 1); /* rc16 */
        s |= at << 4 * k;
    }
    return s;
}

FUNCTION(prmt)
{
    uint64_t bytes = b << 32 | (uint32_t)a, result = 0;
    unsigned s = i->mod[PERMUTE] ? selectors((Modifier)i->mod[PERMUTE], (unsigned)c) : (unsigned)c;
    for (unsigned k = 0; k < 4; k++, s >>= 4) {
        uint64_t byte = bytes >> 8 * (s & 7) & 0xff;
        if (s & 8) byte = byte & 0x80 ? 0xff : 0;
        result |= byte << 8 * k;
    }
    return result;
}

FUNCTION(dp4a)
{
    for (unsigned k = 0; k < 32; k += 8)
        c += widen(type_kind((Type)i->types[0]) == SIGNED ? T_s8 : T_u8, a >> k) *
             widen(type_kind((Type)i->types[1]) == SIGNED ? T_s8 : T_u8, b >> k);
    return (uint32_t)c;
}

FUNCTION(dp2a)
{
    if (i->mod[HALF] == M_HI) b >>= 16;
    for (unsigned k = 0; k < 2; k++)
        c += widen(type_kind((Type)i->types[0]) == SIGNED ? T_s16 : T_u16, a >> 16 * k) *
             widen(type_kind((Type)i->types[1]) == SIGNED ? T_s8 : T_u8, b >> 8 * k);
    return (uint32_t)c;
}

FUNCTION(mov) { return UNUSED(i, b, c), a; }
FUNCTION(selp) { return (void)i, c & 1 ? a : b; }

FUNCTION(slct)
{
    if (i->from == T_f32) return as_float(c) >= 0 || (i->mod[FTZ] && (c & 0x7f800000) == 0) ? a : b;
    return (int64_t)widen(T_s32, c) >= 0 ? a : b;
}

static uint64_t window(Modifier space)
{
    switch (space) {
    case M_SHARED:
    case M_SHARED_CTA: return SHARED_WINDOW;
    case M_LOCAL: return LOCAL_WINDOW;
    case M_PARAM:
    case M_PARAM_ENTRY: return PARAM_WINDOW;
    default: return 0; /* global and const: addresses are generic already */
    }
}

FUNCTION(cvta_from) { return UNUSED(b, c), a + window((Modifier)i->mod[SPACE]); }
FUNCTION(cvta_to) { return UNUSED(b, c), narrow(i, a - window((Modifier)i->mod[SPACE])); }

FUNCTION(isspacep)
{
    UNUSED(b, c);
    uint64_t in = a & WINDOW_MASK, of = window((Modifier)i->mod[SPACE]);
    return of ? in == of : in != SHARED_WINDOW && in != LOCAL_WINDOW && in != PARAM_WINDOW;
}
