/* Running: threads of every kind, fork, memory of the host, failures while it runs. */
#include "fake.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static AttnError error;
enum { N = 1000 };

typedef struct Busy {
    AttnLibrary *library;
    AttnBinding *b;
    int64_t o[N];
} Busy;

static Busy *busy(void)
{
    Busy *s = calloc(1, sizeof *s);
    s->library = fake_open();
    OK(attn_binding_new(s->library, "busy", &s->b, &error));
    OK(attn_bind_dense(s->b, "o", s->o, 1, (int64_t[]){N}, &error));
    return s;
}

static bool complete(const Busy *s)
{
    for (int i = 0; i < N; i++)
        if (s->o[i] != 1)
            return false;
    return true;
}

static void done(Busy *s)
{
    attn_binding_free(s->b);
    attn_close(s->library);
    free(s);
}

/* A pool that uses a thread for every part, and one that uses none. */
typedef struct Part {
    void (*work)(void *, int);
    void *data;
    int n;
    pthread_t thread;
} Part;
static void *run_part(void *data)
{
    Part *p = data;
    p->work(p->data, p->n);
    return NULL;
}
static void pool(void *context, int count, void (*work)(void *, int), void *data)
{
    Part parts[64];
    ++*(int *)context;
    for (int n = 0; n < count; n++) {
        parts[n] = (Part){.work = work, .data = data, .n = n};
        pthread_create(&parts[n].thread, NULL, run_part, &parts[n]);
    }
    for (int n = 0; n < count; n++)
        pthread_join(parts[n].thread, NULL);
}
static void backwards(void *context, int count, void (*work)(void *, int), void *data)
{
    ++*(int *)context;
    while (count-- > 0)
        work(data, count);
}
static void lazy(void *context, int count, void (*work)(void *, int), void *data)
{
    (void)context, (void)count, (void)work, (void)data;
}

Test(run, threads)
{
    Busy *s = busy();
    for (int threads = 0; threads < 9; threads++) {
        memset(s->o, 0, sizeof s->o);
        OK(attn_run(s->b, &(AttnRunOptions){.threads = threads}, &error));
        cr_assert(complete(s), "%d threads", threads);
    }
    done(s);
}

Test(run, pools)
{
    Busy *s = busy();
    int calls = 0;
    AttnRunOptions options = {.threads = 7, .parallel = pool, .parallel_context = &calls};
    OK(attn_run(s->b, &options, &error));
    cr_assert(complete(s));
    cr_assert_eq(calls, 2, "one for each phase");
    memset(s->o, 0, sizeof s->o);
    options.parallel = backwards;
    OK(attn_run(s->b, &options, &error));
    cr_assert(complete(s));
    options.parallel = lazy;
    EXPECT(USAGE, &error, "the thread pool returned before the work was done",
           attn_run(s->b, &options, &error));
    options.threads = 0;
    EXPECT(USAGE, &error, "a thread pool needs threads", attn_run(s->b, &options, &error));
    done(s);
}

/* Many threads, one library, a binding each. */
static void *run_many(void *data)
{
    AttnLibrary *library = data;
    AttnBinding *b;
    int64_t o[N];
    AttnError e;
    int calls = 0;
    bool good = attn_binding_new(library, "busy", &b, &e) == ATTN_OK;
    for (int i = 0; i < 20 && good; i++) {
        AttnRunOptions options = {
            .threads = 1 + i % 3, .parallel = i % 2 ? pool : backwards, .parallel_context = &calls};
        memset(o, 0, sizeof o);
        good = attn_bind_dense(b, "o", o, 1, (int64_t[]){N}, &e) == ATTN_OK &&
               attn_run(b, &options, &e) == ATTN_OK;
        for (int k = 0; k < N; k++)
            good = good && o[k] == 1;
    }
    attn_binding_free(b);
    return good ? data : NULL;
}

Test(run, many_threads_one_library)
{
    AttnLibrary *l = fake_open();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, run_many, l);
    for (int i = 0; i < 8; i++) {
        void *good;
        pthread_join(threads[i], &good);
        cr_assert(good);
    }
    attn_close(l);
}

/* Inside the host's own parallel region: what `#pragma omp parallel` calls. */
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);

static void nested_body(void *data)
{
    AttnBinding *b;
    int64_t o[N] = {0};
    atomic_int *bad = ((void **)data)[1];
    *bad += attn_binding_new(((void **)data)[0], "busy", &b, NULL) ||
            attn_bind_dense(b, "o", o, 1, (int64_t[]){N}, NULL) ||
            attn_run(b, &(AttnRunOptions){.threads = 2}, NULL) || o[N - 1] != 1;
    attn_binding_free(b);
}

Test(run, nested)
{
    AttnLibrary *l = fake_open();
    atomic_int bad = 0;
    void *data[] = {l, &bad};
    for (int i = 0; i < 4; i++)
        GOMP_parallel(nested_body, data, 4, 0);
    cr_assert_eq(bad, 0);
    attn_close(l);
}

static int wait_for(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static void run_in_child(Busy *s)
{
    memset(s->o, 0, sizeof s->o);
    AttnError e;
    if (attn_run(s->b, &(AttnRunOptions){.threads = 4}, &e) || !complete(s))
        _exit(1);
}

/* The parent's OpenMP has threads that a child lacks. */
Test(run, after_fork, .timeout = 60)
{
    Busy *s = busy();
    OK(attn_run(s->b, &(AttnRunOptions){.threads = 4}, &error));
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        run_in_child(s);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            alarm(30);
            run_in_child(s);
            _exit(0);
        }
        int status = 1;
        waitpid(grandchild, &status, 0);
        _exit(status != 0);
    }
    cr_assert_eq(wait_for(child), 0);
    OK(attn_run(s->b, &(AttnRunOptions){.threads = 4}, &error));
    done(s);
}

typedef struct Heap {
    size_t bytes;
    int live, calls;
    bool refuse;
} Heap;
static void *heap_allocate(void *context, size_t bytes, size_t alignment)
{
    Heap *h = context;
    h->calls++;
    if (h->refuse)
        return NULL;
    h->live++;
    h->bytes = bytes;
    cr_assert_eq(alignment, 64);
    return aligned_alloc(alignment, bytes);
}
static void heap_release(void *context, void *memory, size_t bytes)
{
    Heap *h = context;
    cr_assert_eq(bytes, h->bytes);
    h->live--;
    free(memory);
}

Test(run, allocator)
{
    Busy *s = busy();
    Heap heap = {0};
    size_t bytes;
    AttnRunOptions options = {
        .threads = 3, .allocate = heap_allocate, .release = heap_release, .allocate_context = &heap};
    OK(attn_workspace(s->b, &options, &bytes, &error));
    OK(attn_run(s->b, &options, &error));
    cr_assert(complete(s));
    cr_assert_eq(heap.live, 0);
    cr_assert_eq(heap.bytes, bytes);
    heap.refuse = true;
    EXPECT(MEMORY, &error, "out of memory", attn_run(s->b, &options, &error));
    options.release = NULL;
    EXPECT(USAGE, &error, "allocate and release", attn_run(s->b, &options, &error));
    done(s);
}

Test(run, own_workspace)
{
    Busy *s = busy();
    Heap heap = {.refuse = true};
    size_t bytes;
    AttnRunOptions options = {
        .threads = 3, .allocate = heap_allocate, .release = heap_release, .allocate_context = &heap};
    OK(attn_workspace(s->b, &options, &bytes, &error));
    cr_assert_eq(bytes, (N * 8 + 63) / 64 * 64 + 3 * 64);
    options.workspace = aligned_alloc(64, bytes);
    options.workspace_bytes = bytes;
    OK(attn_run(s->b, &options, &error));
    cr_assert(complete(s));
    cr_assert_eq(heap.calls, 0);
    options.workspace_bytes = bytes - 1;
    EXPECT(USAGE, &error, "the workspace has", attn_run(s->b, &options, &error));
    options.workspace_bytes = bytes;
    options.workspace = (char *)options.workspace + 8;
    EXPECT(USAGE, &error, "not aligned", attn_run(s->b, &options, &error));
    free((char *)options.workspace - 8);
    done(s);
}

Test(run, failure_while_it_runs)
{
    Busy *s = busy();
    int calls = 0;
    OK(attn_set_int(s->b, "fail_at", 500, &error));
    EXPECT(DATA, &error, "busy: a value is outside o[i] in 0..fail_at: fail_at = 500 (fake.attn:3:1)",
           attn_run(s->b, NULL, &error));
    for (int i = 0; i < N; i++)
        cr_assert_eq(s->o[i], 0, "the phase after the failure does not run");
    AttnRunOptions options = {.threads = 4, .parallel = pool, .parallel_context = &calls};
    EXPECT(DATA, &error, "outside", attn_run(s->b, &options, &error));
    cr_assert_eq(calls, 1);
    OK(attn_set_int(s->b, "fail_at", -1, &error));
    OK(attn_run(s->b, &options, &error));
    cr_assert(complete(s));
    done(s);
}

Test(run, data_checks_can_be_skipped)
{
    AttnLibrary *l = fake_open();
    AttnBinding *b;
    float q[2] = {1, 2}, k[2] = {3, 4}, pool_[4] = {1, 1, 1, 1}, o[1];
    int64_t table[1] = {1};
    OK(attn_binding_new(l, "score", &b, &error));
    OK(attn_set_float(b, "scale", 1, &error));
    OK(attn_bind_dense(b, "q", q, 4, (int64_t[]){1, 1, 1, 2}, &error));
    OK(attn_bind_dense(b, "k", k, 4, (int64_t[]){1, 1, 1, 2}, &error));
    OK(attn_bind_dense(b, "pool", pool_, 2, (int64_t[]){1, 2}, &error)); /* one page; the memory holds two */
    OK(attn_bind_dense(b, "table", table, 2, (int64_t[]){1, 1}, &error));
    OK(attn_bind_dense(b, "o", o, 4, (int64_t[]){1, 1, 1, 1}, &error));
    EXPECT(DATA, &error, "table[0, 0] = 1 is outside 0..size(page) = 0..1", attn_run(b, NULL, &error));
    OK(attn_run(b, &(AttnRunOptions){.data_checked = 1}, &error));
    cr_assert_eq(o[0], 4 + 10);
    attn_binding_free(b);
    attn_close(l);
}
