/* A new mask, and a picture of it: the pattern below is all that it takes to try one. */
#include <attn.h>
#include <stdio.h>

/* Every query sees itself and its left neighbour, all first tokens of earlier blocks, and the first
 * `global` tokens. */
static const char source[] =
    "mask heads_of_blocks(i, j, width, global) = j <= i and (i - j < 2 or j % width == 0 or j < global)\n"
    "pattern picture(width: int = 8, global: int = 2)\n"
    "    x[i], y[j] -> p[i, j]\n"
    "    example i = 32, j = 32\n"
    "{\n"
    "    p = softmax[j](x * y where heads_of_blocks(i, j, width, global))\n"
    "}\n";

enum { N = 32 };
static float x[N], y[N], p[N][N];

int main(void)
{
    AttnError error;
    AttnLibrary *library;
    AttnBinding *binding;
    if (attn_compile_string(source, NULL, NULL, &library, &error) ||
        attn_binding_new(library, NULL, &binding, &error) ||
        attn_bind_dense(binding, "x", x, 1, (int64_t[]){N}, &error) ||
        attn_bind_dense(binding, "y", y, 1, (int64_t[]){N}, &error) ||
        attn_bind_dense(binding, "p", p, 2, (int64_t[]){N, N}, &error) || attn_run(binding, NULL, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            putchar(p[i][j] > 0 ? '#' : '.');
        putchar('\n');
    }
    attn_binding_free(binding);
    attn_close(library);
    return 0;
}
