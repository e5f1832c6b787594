/* Names of the program: identifiers of C++ that nothing else has. */
#include <ctype.h>
#include <string.h>

#include "codegen/cuda/print.h"

/* Words of CUDA C++, and what the prelude and NVRTC define. */
static const char reserved[] =
    " alignas alignof and and_eq any_int args asm atomicCAS atan atanf auto bf16 bitand bitor blockDim"
    " blockIdx bool break case catch ceil ceilf char checked class co_await co_return co_yield compl"
    " concept const const_cast consteval constexpr constinit continue cos cosf decltype default delete do"
    " double dynamic_cast else enum erf erff exp exp2 exp2f expf explicit expm1 expm1f export extern f16"
    " fabs fabsf fail false float floor floor_div floor_mod floorf fma fmaf fmax fmin for friend goto"
    " gridDim if infinity inline inside int int64 io least load log log1p log1pf log2 log2f logf long"
    " magnitude maximum minimum most mutable namespace new noexcept not not_eq nullptr operator or or_eq"
    " padded pow powf private protected public quiet_nan quotient random register reinterpret_cast"
    " requires return rint rintf rsqrt rsqrtf shift_left shift_right short sign signed sin sinf sizeof"
    " sqrt sqrtf static static_assert static_cast struct switch tanh tanhf task template this thread"
    " threadIdx thread_local threads throw to_int true try typedef typeid typename uint64 union unsigned"
    " using virtual void volatile warpSize wchar_t while wrap_add wrap_mul wrap_sub xor xor_eq ";

static bool is_reserved(const char *name)
{
    size_t n = strlen(name);
    for (const char *at = reserved; (at = strstr(at, name)) != NULL; at++)
        if (at[-1] == ' ' && at[n] == ' ') return true;
    return false;
}

static bool is_taken(const Names *names, const char *name)
{
    for (; names; names = names->outer)
        for (uint32_t k = 0; k < names->taken.n; k++)
            if (!strcmp(names->taken.at[k], name)) return true;
    return is_reserved(name);
}

const char *name_clean(Compilation *c, const char *like)
{
    char *name = format(c, "%s%s", isdigit((unsigned char)like[0]) || !like[0] ? "x" : "", like);
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at)) *at = '_';
    /* two underscores are the implementation's */
    for (char *at = name; (at = strstr(at, "__")) != NULL;) memmove(at, at + 1, strlen(at));
    return name[0] == '_' ? name + 1 : name;
}

const char *name_new(Compilation *c, Names *names, const char *like)
{
    const char *clean = name_clean(c, like), *name = clean;
    for (unsigned k = 2; is_taken(names, name); k++) name = format(c, "%s_%u", clean, k);
    PUSH(c, &names->taken, name);
    return name;
}

void name_free(Names *names, const char *name)
{
    uint32_t k = names->taken.n;
    while (k > 0 && names->taken.at[k - 1] != name) k--;
    if (!k) return;
    names->taken.n--;
    memmove(&names->taken.at[k - 1], &names->taken.at[k], (names->taken.n - k + 1) * sizeof *names->taken.at);
}
