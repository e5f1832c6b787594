/* Residuals, thresholds and checksums of outputs. */
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "compiler/command/call.h"

static double number(Type type, const void *data, size_t k)
{
    return type == TYPE_REAL ? ((const double *)data)[k]
         : type == TYPE_INT ? (double)((const int64_t *)data)[k] : (double)((const uint8_t *)data)[k];
}

static bool disagree(Type type, const void *result, const void *reference, size_t k)
{
    if (type == TYPE_INT) return ((const int64_t *)result)[k] != ((const int64_t *)reference)[k];
    if (type == TYPE_BOOL) return ((const uint8_t *)result)[k] != ((const uint8_t *)reference)[k];
    double x = number(type, result, k), r = number(type, reference, k);
    if (isfinite(x) && isfinite(r)) return false;
    return isnan(x) != isnan(r) || (!isnan(r) && x != r);
}

static void remember(Difference *d, size_t k, double got, double expected)
{
    d->worst = k, d->got = got, d->expected = expected;
}

Difference call_compare(const CallTensor *t, const void *result, const void *reference)
{
    Type type = t->tensor->type;
    Difference d = {0};
    double errors = 0, squares = 0, largest = -1;
    for (size_t k = 0; k < t->n; k++) {
        double x = number(type, result, k), r = number(type, reference, k);
        if (disagree(type, result, reference, k)) {
            if (!d.places++) remember(&d, k, x, r);
            continue;
        }
        if (!isfinite(r)) continue;
        double error = x - r;
        errors += error * error, squares += r * r;
        if (fabs(error) <= largest) continue;
        largest = fabs(error);
        if (!d.places) remember(&d, k, x, r);
    }
    d.rms = errors == 0 ? 0 : squares == 0 ? INFINITY : sqrt(errors / squares);
    return d;
}

/* Longer recurrences than this may gather more rounding. */
enum { LONG_RECURRENCE = 64 };

static bool has_long_recurrence(const Call *call)
{
    for (uint32_t k = 0; k < call->pattern->equations.n; k++) {
        const Tensor *t = call->pattern->equations.at[k];
        if (!t->group || t->recurrence_axis < 0) continue;
        const Index *axis = t->dims[t->recurrence_axis];
        const Index *bound = axis->root ? axis->root : axis;
        if (axis->extent || call->extents[bound->number] > LONG_RECURRENCE) return true;
    }
    return false;
}

double call_threshold(const Call *call, const CallTensor *t)
{
    switch (call_storage(call, t->tensor)) {
    case STORAGE_F16: return 0x1p-11; /* twice what rounding a result makes, about 2.1e-4 and 1.7e-3 */
    case STORAGE_BF16: return 0x1p-8;
    case STORAGE_F32: return call->tf32 ? 0x1p-10 : 2e-6; /* tf32: inputs and weights are rounded like f16 */
    default: break;
    }
    if (!call->f64) return 2e-6;
    return has_long_recurrence(call) ? 1e-11 : 1e-13;
}

uint64_t call_checksum(const CallTensor *t, const void *data)
{
    return XXH64(data, t->n * type_bytes(t->tensor->type), 0);
}
