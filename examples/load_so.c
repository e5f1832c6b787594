/* Loads a compiled pattern and runs it on arrays from files:
 *
 *     attnc compile full.attn -o full.so
 *     load_so full.so q=q.npy k=k.npy v=v.npy o=expected.npy
 *
 * Inputs are read; an output is computed and compared with the file given for it. */
#include <attn.h>
#include <math.h>
#include <time.h>

#include "npy.h"

static AttnError error;

/* Ends the program if a call of the library failed. */
static void check(AttnStatus status)
{
    if (status != ATTN_OK)
        fail("attn", error.text);
}

static const char *file_of(const char *tensor, int argc, char **argv)
{
    size_t n = strlen(tensor);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], tensor, n) == 0 && argv[i][n] == '=')
            return argv[i] + n + 1;
    return NULL;
}

static void bind(AttnBinding *binding, const char *tensor, const Array *a)
{
    check(attn_bind_dense(binding, tensor, a->data, a->rank, a->shape, &error));
}

/* The shape of an output follows from the inputs. */
static Array new_output(AttnBinding *binding, const AttnTensorDesc *t)
{
    int64_t shape[8];
    for (int i = 0; i < t->rank; i++)
        check(attn_extent(binding, t->indices[i], &shape[i], &error));
    return array_new(t->rank, shape);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void compare(const char *name, const Array *got, const char *file)
{
    Array want = array_read(file);
    double worst = 0;
    if (want.count != got->count)
        fail(file, "another shape");
    for (size_t i = 0; i < want.count; i++)
        worst =
            fmax(worst, isnan(got->data[i]) ? INFINITY : fabs((double)got->data[i] - (double)want.data[i]));
    printf("%s: %zu numbers, largest difference from %s: %.2g\n", name, got->count, file, worst);
    free(want.data);
    if (worst > 1e-5)
        exit(1);
}

int main(int argc, char **argv)
{
    AttnLibrary *library;
    AttnBinding *binding;
    Array arrays[16] = {{0}};
    if (argc < 2)
        fail("usage", "load_so MODULE.so [TENSOR=FILE.npy ...]");
    check(attn_open(argv[1], &library, &error));
    check(attn_binding_new(library, NULL, &binding, &error));
    const AttnPatternDesc *p = attn_binding_pattern(binding);
    printf("%s\n", p->signature);
    for (int i = 0; i < p->n_tensors && i < 16; i++) {
        const AttnTensorDesc *t = &p->tensors[i];
        const char *file = file_of(t->name, argc, argv);
        if (t->role != ATTN_ROLE_OUTPUT && !file && !t->optional)
            fail(t->name, "no file given");
        if (t->role == ATTN_ROLE_OUTPUT)
            arrays[i] = new_output(binding, t); /* outputs come after inputs */
        else if (file)
            arrays[i] = array_read(file);
        if (arrays[i].data)
            bind(binding, t->name, &arrays[i]);
    }
    double start = seconds();
    check(attn_run(binding, NULL, &error));
    printf("ran in %.3f ms\n", 1e3 * (seconds() - start));
    for (int i = 0; i < p->n_tensors && i < 16; i++) {
        const char *file = file_of(p->tensors[i].name, argc, argv);
        if (p->tensors[i].role == ATTN_ROLE_OUTPUT && file)
            compare(p->tensors[i].name, &arrays[i], file);
        free(arrays[i].data);
    }
    attn_binding_free(binding);
    attn_close(library);
    return 0;
}
