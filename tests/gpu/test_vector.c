/* Instructions that run on all lanes at once give what they give lane by lane: each of vector_list.h, with
 * numbers that are special and others that are not, in whole warps and in parts of them. */
#include "ptx/inside.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 256, BYTES = 40 }; /* of a thread: three operands, a guard, a result */

typedef struct Opcode {
    char name[32];
    Type first, last;
} Opcode;

static Opcode opcode_of(const VectorEntry *e)
{
    Opcode o = {.first = NO_TYPE};
    snprintf(o.name, sizeof o.name, "%s", e->name);
    for (char *at = o.name, *part = at;; at++) {
        bool end = !*at;
        if (*at != '_' && !end) continue;
        Type t = type_find(part, (size_t)(at - part));
        if (t && !o.first) o.first = t;
        if (t) o.last = t;
        if (end) return o;
        *at = '.';
        part = at + 1;
    }
}

static const char *register_type(Type t, unsigned width)
{
    return width == BIT                              ? "pred"
           : width == WIDE                           ? "b64"
           : type_bits(t) == 16 || type_bits(t) == 8 ? "b16"
                                                     : "b32";
}

/* Operand k, loaded; a predicate is the lowest bit. */
static void write_operand(Text *out, const VectorEntry *e, const Opcode *o, unsigned k)
{
    const char *type = register_type(o->last, e->width[k]);
    text_add(out, ".reg .%s x%u; ", type, k);
    if (e->width[k] == BIT)
        text_add(out, "ld.global.u32 %%r1, [%%rd0+%u]; and.b32 %%r1, %%r1, 1; setp.ne.u32 x%u, %%r1, 0; ",
                 8 * (k - 1), k);
    else
        text_add(out, "ld.global.%s x%u, [%%rd0+%u]; ", type, k, 8 * (k - 1));
}

static void write_kernel(Text *out, const VectorEntry *e, unsigned n)
{
    Opcode o = opcode_of(e);
    const char *type = register_type(o.first, e->width[0]);
    text_add(out,
             ".visible .entry k%u(.param .u64 p)\n{ .reg .b64 %%rd<3>; .reg .b32 %%r<2>; .reg .pred %%g; "
             "ld.param.u64 %%rd0, [p]; mov.u32 %%r0, %%tid.x; mul.wide.u32 %%rd1, %%r0, %d; "
             "add.s64 %%rd0, %%rd0, %%rd1; ld.global.u32 %%r0, [%%rd0+24]; setp.ne.u32 %%g, %%r0, 0; ",
             n, BYTES);
    for (unsigned k = 1; k < 4; k++)
        if (e->width[k] != NO_WIDTH) write_operand(out, e, &o, k);
    if (e->width[0] == BIT)
        text_add(out, ".reg .pred x0; setp.ne.u32 x0, 1, 1; ");
    else
        text_add(out, ".reg .%s x0; mov.%s x0, 77; ", type, type);
    text_add(out, "@%%g %s x0", o.name);
    for (unsigned k = 1; k < 4; k++)
        if (e->width[k] != NO_WIDTH) text_add(out, ", x%u", k);
    if (e->width[0] == BIT)
        text_add(out, "; selp.b32 %%r0, 1, 0, x0; st.global.b32 [%%rd0+32], %%r0; ret; }\n");
    else
        text_add(out, "; st.global.%s [%%rd0+32], x0; ret; }\n", type);
}

static uint64_t number(unsigned n)
{
    static const uint64_t special[] = {0,
                                       1,
                                       2,
                                       31,
                                       32,
                                       33,
                                       63,
                                       64,
                                       255,
                                       0x7fff,
                                       0x8000,
                                       0xffff,
                                       0x7c00,
                                       0x7c01,
                                       0xfc00,
                                       0x0400,
                                       0x03ff,
                                       0x7f80,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x7f800000,
                                       0xff800000,
                                       0x7f800001,
                                       0xffc00000,
                                       0x00800000,
                                       0x007fffff,
                                       0x3f800000,
                                       0xbf800000,
                                       0x477fe000,
                                       0x477fefff,
                                       0x477ff000,
                                       0x33000000,
                                       0x33000001,
                                       0x387fe000,
                                       0x3f808000,
                                       0x7f7fffff,
                                       0x43160000,
                                       0xc3150000,
                                       0x41200000,
                                       0xc2fc0000,
                                       0x7ff0000000000000,
                                       0xfff0000000000000,
                                       0x7ff8000000000000,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       0xffffffffffffffff,
                                       0x3ff0000000000000};
    enum { SPECIAL = sizeof special / sizeof *special };
    if (n % 4) return special[(unsigned)rand() % SPECIAL];
    uint64_t bits = (uint64_t)(unsigned)rand() << 33 ^ (uint64_t)(unsigned)rand() << 11 ^ (unsigned)rand();
    float x = (float)rand() / (float)RAND_MAX * 40 - 20;
    uint32_t low;
    memcpy(&low, &x, sizeof low);
    return n % 8 ? bits : (bits & 0xffffffff00000000) | low;
}

/* Whole warps, and warps that lack lanes. */
static bool guarded(unsigned thread) { return thread / 32 % 2 == 0 || rand() % 2; }

static bool is_used(const PtxModule *m, Run *run)
{
    for (uint32_t k = 0; k < m->code.n; k++)
        if (m->code.at[k].run == run) return true;
    return false;
}

static void *run(PtxDevice *device, PtxModule *m, unsigned n)
{
    uint64_t at = ptx_alloc(device, THREADS * BYTES);
    unsigned char *bytes = ptx_bytes(device, at, THREADS * BYTES);
    memset(bytes, 0, THREADS * BYTES);
    srand(n + 1);
    for (unsigned t = 0; t < THREADS; t++) {
        uint64_t words[4] = {number(t), number(t / 7), number(t / 3), 0};
        words[3] = guarded(t);
        memcpy(bytes + t * BYTES, words, sizeof words);
    }
    char name[16];
    snprintf(name, sizeof name, "k%u", n);
    PtxLaunch launch = {ptx_find(m, name), {1, 1, 1}, {THREADS, 1, 1}, 0, &at};
    cr_assert(ptx_launch(device, &launch), "%s", ptx_error(device));
    return bytes;
}

Test(vector, equals_lane_by_lane)
{
    PtxDevice *devices[2];
    PtxModule *modules[2];
    Compilation c;
    compilation_init(&c);
    cr_assert(!setjmp(c.escape), "%s", c.fatal);
    Text text = {.c = &c};
    unsigned n = 0;
    text_add(&text, ".version 8.4\n.target sm_90\n.address_size 64\n");
    for (; vector_entry(n); n++) write_kernel(&text, vector_entry(n), n);
    for (int plain = 0; plain < 2; plain++) {
        devices[plain] = ptx_device_new();
        ptx_set_plain(devices[plain], plain);
        modules[plain] = ptx_module_load(devices[plain], text.at, text.n);
        cr_assert(modules[plain], "%s", ptx_error(devices[plain]));
    }
    for (unsigned k = 0; k < n; k++) {
        cr_assert(is_used(modules[0], vector_entry(k)->run), "%s is run lane by lane", vector_entry(k)->name);
        const unsigned char *fast = run(devices[0], modules[0], k), *plain = run(devices[1], modules[1], k);
        for (unsigned t = 0; t < THREADS; t++)
            if (memcmp(fast + t * BYTES, plain + t * BYTES, BYTES)) {
                uint64_t x[5], y[5];
                memcpy(x, fast + t * BYTES, BYTES);
                memcpy(y, plain + t * BYTES, BYTES);
                cr_assert_fail("%s of %llx, %llx, %llx: %llx, not %llx", vector_entry(k)->name,
                               (unsigned long long)x[0], (unsigned long long)x[1], (unsigned long long)x[2],
                               (unsigned long long)x[4], (unsigned long long)y[4]);
            }
    }
    for (int plain = 0; plain < 2; plain++) {
        ptx_module_free(modules[plain]);
        ptx_device_free(devices[plain]);
    }
    compilation_free(&c);
}
