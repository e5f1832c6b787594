/* Where the elements of matrices are: mma in every shape and type, ldmatrix and stmatrix, each element by
 * itself, against the tables of the PTX ISA (sections on warp-level matrix fragments) and a plain matrix
 * product. */
#include "ptx/ptx.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 32, ROWS = 16, COLUMNS = 8, MAX_K = 32 };

typedef struct Shape {
    const char *opcode;
    unsigned k, bits; /* of an element of a and b */
    int kind;         /* 'f': f16, 'b': bf16, 't': tf32, 's': s8, 'u': u8, 'e': e4m3, '5': e5m2 */
    bool half_sum;    /* c and d are f16 */
} Shape;

static const Shape shapes[] = {
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 16, 16, 'f', false},
    {"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", 16, 16, 'f', true},
    {"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 8, 16, 'f', false},
    {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 16, 16, 'b', false},
    {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", 8, 16, 'b', false},
    {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 8, 32, 't', false},
    {"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", 4, 32, 't', false},
    {"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", 32, 8, 's', false},
    {"mma.sync.aligned.m16n8k16.row.col.s32.u8.u8.s32", 16, 8, 'u', false},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", 32, 8, 'e', false},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32", 32, 8, '5', false},
};

/* Small whole numbers, exact in every type. */
typedef struct Matrices {
    int a[ROWS][MAX_K], b[MAX_K][COLUMNS], c[ROWS][COLUMNS];
} Matrices;

static uint32_t half_bits(float x)
{
    _Float16 h = (_Float16)x;
    uint16_t bits;
    memcpy(&bits, &h, sizeof bits);
    return bits;
}

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static uint32_t encode(int kind, int v)
{
    static const uint8_t e4m3[] = {0x00, 0x38, 0x40, 0x44, 0x48},
                         e5m2[] = {0x00, 0x3c, 0x40, 0x42, 0x44}; /* 0 .. 4 */
    switch (kind) {
    case 'f': return half_bits((float)v);
    case 'b': return float_bits((float)v) >> 16;
    case 't': return float_bits((float)v) | 0x1fff; /* the lower bits must not count */
    case 'e': return e4m3[abs(v)] | (v < 0 ? 0x80u : 0);
    case '5': return e5m2[abs(v)] | (v < 0 ? 0x80u : 0);
    default: return (uint32_t)v & 0xff;
    }
}

/* ---- The ISA's tables: element i of a lane's fragment, as group = lane / 4, in = lane % 4 ---- */
static void place_a(const Shape *s, unsigned lane, unsigned i, unsigned *row, unsigned *column)
{
    unsigned group = lane >> 2, in = lane % 4;
    switch (s->bits) {
    case 16:
        *row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
        *column = in * 2 + (i & 1) + (i >= 4 ? 8 : 0);
        break;
    case 32:
        *row = i == 0 || i == 2 ? group : group + 8;
        *column = i < 2 ? in : in + 4;
        break;
    default:
        *row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
        *column = in * 4 + (i & 3) + (i >= 8 ? 16 : 0);
    }
}

static void place_b(const Shape *s, unsigned lane, unsigned i, unsigned *row, unsigned *column)
{
    unsigned in = lane % 4;
    *column = lane >> 2;
    if (s->bits == 16)
        *row = in * 2 + (i & 1) + (i >= 2 ? 8 : 0);
    else if (s->bits == 32)
        *row = i == 0 ? in : in + 4;
    else
        *row = in * 4 + (i & 3) + (i >= 4 ? 16 : 0);
}

static void place_c(unsigned lane, unsigned i, unsigned *row, unsigned *column)
{
    *row = i < 2 ? lane >> 2 : (lane >> 2) + 8;
    *column = (lane % 4) * 2 + (i & 1);
}

/* ---- One mma ---- */
typedef struct Machine {
    PtxDevice *device;
    PtxModule *module;
    uint32_t *words;
    uint64_t address;
} Machine;
enum { WORDS = 4096, A = 0, B = 4, C = 8, D = 12, LANE_WORDS = 16 }; /* words of a lane */

static Machine machine(const char *text)
{
    Machine m = {.device = ptx_device_new()};
    m.module = ptx_module_load(m.device, text, strlen(text));
    cr_assert(m.module, "%s", ptx_error(m.device));
    m.address = ptx_alloc(m.device, WORDS * 4);
    m.words = ptx_bytes(m.device, m.address, WORDS * 4);
    return m;
}

static void run(const Machine *m, const char *name)
{
    PtxLaunch launch = {ptx_find(m->module, name), {1, 1, 1}, {LANES, 1, 1}, 0, &m->address};
    cr_assert(ptx_launch(m->device, &launch), "%s", ptx_error(m->device));
}

static void end(Machine *m)
{
    ptx_module_free(m->module);
    ptx_device_free(m->device);
}

#define HEAD                                                                                     \
    ".version 8.4\n.target sm_89\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n"       \
    ".reg .b32 %%r<32>; .reg .b64 %%rd<4>;\nld.param.u64 %%rd0, [p];\nmov.u32 %%r30, %%tid.x;\n" \
    "mul.wide.u32 %%rd1, %%r30, 64;\nadd.s64 %%rd0, %%rd0, %%rd1;\n"

static const char *const vectors[] = {"", "{%r~}", "{%r~, %r~}", "", "{%r~, %r~, %r~, %r~}"};

static void write_vector(char *out, unsigned n, unsigned first) /* {%r4, %r5} */
{
    for (const char *at = vectors[n]; *at; at++)
        if (*at == '~')
            out += sprintf(out, "%u", first++);
        else
            *out++ = *at;
    *out = 0;
}

static Machine mma_machine(const Shape *s)
{
    char text[2048], a[64], b[64], c[64], d[64];
    unsigned n = s->k * s->bits / 128;
    write_vector(a, 2 * n, A);
    write_vector(b, n, B);
    write_vector(c, s->half_sum ? 2 : 4, C);
    write_vector(d, s->half_sum ? 2 : 4, D);
    snprintf(text, sizeof text,
             HEAD "ld.global.v4.u32 {%%r0, %%r1, %%r2, %%r3}, [%%rd0];\n"
                  "ld.global.v4.u32 {%%r4, %%r5, %%r6, %%r7}, [%%rd0+16];\n"
                  "ld.global.v4.u32 {%%r8, %%r9, %%r10, %%r11}, [%%rd0+32];\n%s %s, %s, %s, %s;\n"
                  "st.global.v4.u32 [%%rd0+48], {%%r12, %%r13, %%r14, %%r15};\nret;\n}\n",
             s->opcode, d, a, b, c);
    return machine(text);
}

static void put(uint32_t *words, unsigned bits, unsigned i, uint32_t v)
{
    words[i * bits / 32] |= (bits == 32 ? v : v << i * bits % 32);
}

static void fill(const Machine *m, const Shape *s, const Matrices *x)
{
    unsigned row, column, n = s->k * s->bits / 128 * 32 / s->bits; /* elements of b in a lane */
    memset(m->words, 0, WORDS * 4);
    for (unsigned lane = 0; lane < LANES; lane++) {
        uint32_t *w = m->words + lane * LANE_WORDS;
        for (unsigned i = 0; i < 2 * n; i++) {
            place_a(s, lane, i, &row, &column);
            put(w + A, s->bits, i, encode(s->kind, x->a[row][column]));
        }
        for (unsigned i = 0; i < n; i++) {
            place_b(s, lane, i, &row, &column);
            put(w + B, s->bits, i, encode(s->kind, x->b[row][column]));
        }
        for (unsigned i = 0; i < 4; i++) {
            place_c(lane, i, &row, &column);
            int v = x->c[row][column];
            if (s->half_sum)
                put(w + C, 16, i, half_bits((float)v));
            else
                w[C + i] = s->kind == 's' || s->kind == 'u' ? (uint32_t)v : float_bits((float)v);
        }
    }
}

static void compare(const Machine *m, const Shape *s, const Matrices *x)
{
    for (unsigned lane = 0; lane < LANES; lane++)
        for (unsigned i = 0; i < 4; i++) {
            unsigned row, column;
            place_c(lane, i, &row, &column);
            int sum = x->c[row][column];
            for (unsigned k = 0; k < s->k; k++) sum += x->a[row][k] * x->b[k][column];
            const uint32_t *d = m->words + lane * LANE_WORDS + D;
            uint32_t is = s->half_sum ? d[i / 2] >> 16 * (i & 1) & 0xffff : d[i];
            uint32_t want = s->half_sum                        ? half_bits((float)sum)
                            : s->kind == 's' || s->kind == 'u' ? (uint32_t)sum
                                                               : float_bits((float)sum);
            cr_assert(is == want, "%s: row %u, column %u (lane %u, element %u): 0x%x, not 0x%x", s->opcode,
                      row, column, lane, i, is, want);
        }
}

static int small(const Shape *s) { return rand() % (s->kind == 'u' ? 5 : 9) - (s->kind == 'u' ? 0 : 4); }

static void randomize(const Shape *s, Matrices *x)
{
    for (unsigned k = 0; k < MAX_K; k++) {
        for (unsigned r = 0; r < ROWS; r++) x->a[r][k] = small(s);
        for (unsigned c = 0; c < COLUMNS; c++) x->b[k][c] = small(s);
    }
    for (unsigned r = 0; r < ROWS; r++)
        for (unsigned c = 0; c < COLUMNS; c++) x->c[r][c] = rand() % 65 - 32;
}

static void check(const Machine *m, const Shape *s, const Matrices *x)
{
    fill(m, s, x);
    run(m, "k");
    compare(m, s, x);
}

Test(fragments, mma)
{
    for (size_t n = 0; n < sizeof shapes / sizeof *shapes; n++) {
        const Shape *s = &shapes[n];
        Machine m = mma_machine(s);
        Matrices x;
        srand(1);
        randomize(s, &x);
        check(&m, s, &x);
        for (unsigned k = 0; k < s->k; k++) { /* each element of a alone, then each of b */
            for (unsigned r = 0; r < ROWS; r++) {
                randomize(s, &x);
                memset(x.a, 0, sizeof x.a);
                x.a[r][k] = 1;
                check(&m, s, &x);
            }
            for (unsigned c = 0; c < COLUMNS; c++) {
                randomize(s, &x);
                memset(x.b, 0, sizeof x.b);
                x.b[k][c] = 1;
                check(&m, s, &x);
            }
        }
        PtxCounters counters = ptx_counters(ptx_find(m.module, "k"));
        cr_assert(counters.mma_flops == 2 * 16 * 8 * s->k && counters.warps[PTX_MMA] == 1);
        end(&m);
    }
}

/* ---- Matrices of 8 x 8 halves ---- */

/* Lane l writes 16 bytes, 8 halves, of row 31 - l, into shared memory; ldmatrix gets the rows in that order.
 */
static Machine matrix_machine(unsigned n, bool trans, unsigned stride, bool store)
{
    char text[2048], registers[64];
    write_vector(registers, n, 8);
    const char *t = trans ? ".trans" : "";
    snprintf(text, sizeof text,
             HEAD
             ".shared .align 16 .b8 s[8192];\nmov.u32 %%r29, s;\nsub.u32 %%r28, 31, %%r30;\n"
             "mad.lo.u32 %%r27, %%r28, %u, %%r29;\nmov.u32 %%r8, 0;\nmov.u32 %%r9, 0;\nmov.u32 %%r10, 0;\n"
             "mov.u32 %%r11, 0;\nld.global.v4.u32 {%%r0, %%r1, %%r2, %%r3}, [%%rd0];\n"
             "st.shared.v4.u32 [%%r27], {%%r0, %%r1, %%r2, %%r3};\nbar.sync 0;\n",
             stride);
    char *at = text + strlen(text);
    if (store)
        sprintf(at,
                "ld.global.v4.u32 {%%r8, %%r9, %%r10, %%r11}, [%%rd0+32];\n"
                "stmatrix.sync.aligned.m8n8.x%u%s.shared.b16 [%%r27], %s;\nbar.sync 0;\n"
                "ld.shared.v4.u32 {%%r8, %%r9, %%r10, %%r11}, [%%r27];\n",
                n, t, registers);
    else
        sprintf(at, "ldmatrix.sync.aligned.m8n8.x%u%s.shared.b16 %s, [%%r27];\n", n, t, registers);
    strcat(text, "st.global.v4.u32 [%rd0+32], {%r8, %r9, %r10, %r11};\nret;\n}\n");
    return machine(text);
}

/* Half `column` of row `row` of matrix m has the number 64 m + 8 row + column. */
static uint32_t pair_of(unsigned m, unsigned lane, bool trans)
{
    unsigned row = lane / 4, column = 2 * (lane % 4);
    uint32_t first = 64 * m + (trans ? 8 * column + row : 8 * row + column);
    return first | (first + (trans ? 8 : 1)) << 16;
}

Test(fragments, ldmatrix)
{
    static const unsigned strides[] = {16, 128, 144};
    static const uint64_t cycles[] = {
        1, 8, 1}; /* of 8 rows: side by side; in the same banks; shifted by 16 bytes */
    for (unsigned n = 1; n <= 4; n *= 2)
        for (unsigned trans = 0; trans < 2; trans++)
            for (unsigned k = 0; k < 3; k++) {
                Machine m = matrix_machine(n, trans, strides[k], false);
                for (uint32_t lane = 0; lane < LANES; lane++)
                    for (uint32_t i = 0; i < 4; i++)
                        m.words[lane * LANE_WORDS + i] = (8 * lane + 2 * i) | (8 * lane + 2 * i + 1) << 16;
                run(&m, "k");
                for (uint32_t lane = 0; lane < LANES; lane++)
                    for (uint32_t i = 0; i < n; i++)
                        cr_assert(m.words[lane * LANE_WORDS + 8 + i] == pair_of(i, lane, trans));
                PtxTraffic t = ptx_counters(ptx_find(m.module, "k")).shared_load;
                cr_assert(t.requests == 1 && t.units == n * cycles[k] && t.ideal == n);
                end(&m);
            }
}

Test(fragments, stmatrix)
{
    for (unsigned n = 1; n <= 4; n *= 2)
        for (unsigned trans = 0; trans < 2; trans++) {
            Machine m = matrix_machine(n, trans, 16, true);
            memset(m.words, 0xee, WORDS * 4);
            for (uint32_t lane = 0; lane < LANES; lane++)
                for (uint32_t i = 0; i < n; i++) m.words[lane * LANE_WORDS + 8 + i] = pair_of(i, lane, trans);
            run(&m, "k");
            for (uint32_t lane = 0; lane < 8 * n; lane++)
                for (uint32_t i = 0; i < 4; i++)
                    cr_assert(m.words[lane * LANE_WORDS + 8 + i] ==
                              ((8 * lane + 2 * i) | (8 * lane + 2 * i + 1) << 16));
            end(&m);
        }
}
