/* The device and its modules, as ptx.h offers them. */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PtxDevice *ptx_device_new(void)
{
    PtxDevice *device = calloc(1, sizeof *device);
    if (device) device->limit = 2000000000;
    return device;
}

void ptx_device_free(PtxDevice *device)
{
    if (!device) return;
    memory_free_all(device);
    free(device);
}

const char *ptx_error(const PtxDevice *device) { return device->error; }
void ptx_set_limit(PtxDevice *device, uint64_t instructions) { device->limit = instructions; }

void ptx_set_plain(PtxDevice *device, bool plain) { device->plain = plain; }

/* ---- Modules ---- */
void module_fail(PtxModule *m, uint32_t line, const char *fmt, ...)
{
    Text t = {.c = &m->c};
    text_add(&t, "PTX line %u: ", line);
    va_list args;
    va_start(args, fmt);
    text_add_v(&t, fmt, args);
    va_end(args);
    m->c.fatal = t.at;
    longjmp(m->c.escape, 1);
}

static bool load(PtxModule *m, const char *text, size_t length)
{
    if (setjmp(m->c.escape)) return false;
    char *copy = arena_alloc(&m->c, length + 1);
    memcpy(copy, text, length);
    m->text = copy;
    module_parse(m, copy, strlen(copy)); /* a zero byte may be counted */
    module_decode(m);
    module_blocks(m);
    return true;
}

PtxModule *ptx_module_load(PtxDevice *device, const char *text, size_t length)
{
    device->error[0] = 0;
    PtxModule *m = calloc(1, sizeof *m);
    if (!m) {
        snprintf(device->error, sizeof device->error, "out of memory");
        return NULL;
    }
    m->device = device;
    compilation_init(&m->c);
    if (load(m, text, length)) return m;
    snprintf(device->error, sizeof device->error, "%s", m->c.fatal);
    ptx_module_free(m);
    return NULL;
}

void ptx_module_free(PtxModule *m)
{
    if (!m) return;
    for (uint32_t k = 0; k < m->variables.n; k++) ptx_free(m->device, m->variables.at[k]->address);
    compilation_free(&m->c);
    free(m);
}

const PtxFunction *ptx_find(const PtxModule *m, const char *name)
{
    for (uint32_t k = 0; k < m->functions.n; k++)
        if (m->functions.at[k]->entry && !strcmp(m->functions.at[k]->name, name)) return m->functions.at[k];
    return NULL;
}

uint64_t ptx_find_variable(const PtxModule *m, const char *name, size_t *size)
{
    for (uint32_t k = 0; k < m->variables.n; k++) {
        const Symbol *v = m->variables.at[k];
        if (strcmp(v->name, name)) continue;
        if (size) *size = v->size;
        return v->address;
    }
    return 0;
}

const char *ptx_name(const PtxFunction *f) { return f->name; }
uint32_t ptx_params_size(const PtxFunction *f) { return f->params_size; }
uint32_t ptx_n_params(const PtxFunction *f) { return f->params.n; }

uint32_t ptx_param_offset(const PtxFunction *f, uint32_t n, uint32_t *size)
{
    if (size) *size = (uint32_t)f->params.at[n]->size;
    return f->params.at[n]->offset;
}

uint32_t ptx_static_shared(const PtxFunction *f)
{
    uint32_t all = (f->module->shared_size + 127) / 128 * 128 + f->shared_size;
    return f->shared_size || f->module->shared_size ? (all + 15) / 16 * 16 : 0;
}

uint32_t ptx_max_threads(const PtxFunction *f) { return f->max_threads; }
uint32_t ptx_local_bytes(const PtxFunction *f) { return (f->local_first + f->local_size + 15) / 16 * 16; }
