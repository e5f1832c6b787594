/* Linear arithmetic over monomials: is there a sum of known inequalities with non-negative factors that
 * says 0 >= 1? Factors u >= 0 with sum u_i p_i = -1 as polynomials are sought by the simplex method (phase
 * 1) on an integer table: rows are monomials, columns are inequalities. Complete over the rationals;
 * deterministic; gives up on overflow. */
#include "prove_state.h"

#include <string.h>

typedef struct Problem {
    unsigned n, rows;                     /* columns; rows without that of the constant, which is the last */
    const Poly *column[MAX_COLUMNS];
    uint16_t known[MAX_COLUMNS];          /* where it came from */
    uint8_t row[MAX_MONOS];
    int16_t basic[MAX_ROWS + 1];          /* column that is basic in a row; -1: its artificial variable */
} Problem;

static void count_signs(const Poly *p, int add, int16_t (*count)[2])
{
    for (unsigned t = 0; t < p->n; t++)
        count[p->mono[t]][p->k[t] > 0] = (int16_t)(count[p->mono[t]][p->k[t] > 0] + add);
}

static bool cancellable(const Poly *p, int16_t (*count)[2])
{
    for (unsigned t = 0; t < p->n; t++)
        if (!count[p->mono[t]][p->k[t] < 0]) return false;
    return true;
}

/* Drops what cannot take part: inequalities with a monomial that nothing else cancels. */
unsigned drop_uncancelled(const Poly **polys, uint16_t *known, unsigned n)
{
    int16_t count[MAX_MONOS][2] = {0};
    for (unsigned i = 0; i < n; i++) count_signs(polys[i], 1, count);
    for (bool changed = true; changed;) {
        unsigned kept = 0;
        for (unsigned i = 0; i < n; i++) {
            if (!cancellable(polys[i], count)) {
                count_signs(polys[i], -1, count);
                continue;
            }
            polys[kept] = polys[i];
            known[kept++] = known[i];
        }
        changed = kept < n;
        n = kept;
    }
    return n;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        const uint64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

static uint64_t magnitude(int64_t x) { return x < 0 ? -(uint64_t)x : (uint64_t)x; }

static void shorten(int64_t *row, unsigned n)
{
    uint64_t g = 0;
    for (unsigned k = 0; k <= n && g != 1; k++) g = gcd(magnitude(row[k]), g);
    if (g < 2 || g > INT64_MAX) return;
    for (unsigned k = 0; k <= n; k++) row[k] /= (int64_t)g;
}

/* row := row * scale - pivot * factor, so that its entry in the pivot's column vanishes; scale > 0. */
static bool eliminate(int64_t *row, const int64_t *pivot, unsigned column, unsigned n)
{
    if (!row[column]) return true;
    const uint64_t g = gcd(magnitude(row[column]), magnitude(pivot[column]));
    if (g > INT64_MAX) return false;
    const int64_t scale = pivot[column] / (int64_t)g, factor = row[column] / (int64_t)g;
    for (unsigned k = 0; k <= n; k++) {
        int64_t x, y;
        if (__builtin_mul_overflow(row[k], scale, &x) || __builtin_mul_overflow(pivot[k], factor, &y) ||
            __builtin_sub_overflow(x, y, &row[k]) || row[k] == INT64_MIN) return false;
    }
    shorten(row, n);
    return true;
}

static bool set_up(Prover *p, Problem *q)
{
    memset(q->row, 255, sizeof q->row);
    q->rows = 0;
    for (unsigned j = 0; j < q->n; j++)
        for (unsigned t = 0; t < q->column[j]->n; t++) {
            uint8_t *row = &q->row[q->column[j]->mono[t]];
            if (*row == 255) *row = (uint8_t)q->rows++;
            if (q->rows > MAX_ROWS) return false;
        }
    for (unsigned i = 0; i < q->rows + 2; i++) memset(p->table[i], 0, sizeof(int64_t) * (q->n + 1));
    int64_t *constant = p->table[q->rows], *objective = p->table[q->rows + 1];
    constant[q->n] = objective[q->n] = 1;
    for (unsigned j = 0; j < q->n; j++) {
        const Poly *a = q->column[j];
        if (a->constant == INT64_MIN) return false;
        constant[j] = objective[j] = -a->constant;
        for (unsigned t = 0; t < a->n; t++) {
            p->table[q->row[a->mono[t]]][j] = a->k[t];
            if (a->k[t] == INT64_MIN || __builtin_add_overflow(objective[j], a->k[t], &objective[j]))
                return false;
        }
    }
    for (unsigned i = 0; i <= q->rows; i++) q->basic[i] = -1;
    return true;
}

static int entering(const int64_t *objective, unsigned n, bool first)
{
    int best = -1;
    for (unsigned j = 0; j < n && !(first && best >= 0); j++)
        if (objective[j] > 0 && (best < 0 || objective[j] > objective[best])) best = (int)j;
    return best;
}

/* An artificial variable at 0 leaves at once, whatever the sign of its entry; else the smallest ratio
 * decides. */
static int leaving(Prover *p, const Problem *q, unsigned column)
{
    int best = -1;
    for (unsigned i = 0; i <= q->rows; i++) {
        int64_t *row = p->table[i];
        if (!row[column]) continue;
        if (q->basic[i] < 0 && !row[q->n]) {
            if (row[column] < 0)
                for (unsigned k = 0; k < q->n; k++) row[k] = -row[k];
            return (int)i;
        }
        if (row[column] < 0) continue;
        if (best < 0) { best = (int)i; continue; }
        const __int128 here = (__int128)row[q->n] * p->table[best][column],
                       there = (__int128)p->table[best][q->n] * row[column];
        if (here < there || (here == there && q->basic[i] < q->basic[best])) best = (int)i;
    }
    return best;
}

static bool simplex(Prover *p, Problem *q)
{
    enum { LARGEST_FIRST = 60, MOST_STEPS = 240 };
    int64_t *objective = p->table[q->rows + 1];
    for (unsigned step = 0; objective[q->n] && step < MOST_STEPS; step++) {
        const int column = entering(objective, q->n, step >= LARGEST_FIRST);
        const int row = column < 0 ? -1 : leaving(p, q, (unsigned)column);
        if (row < 0 || !spend(p, 1 + (q->rows + 2) * q->n / 32)) return false;
        for (unsigned i = 0; i < q->rows + 2; i++)
            if (i != (unsigned)row && !eliminate(p->table[i], p->table[row], (unsigned)column, q->n))
                return false;
        q->basic[row] = (int16_t)column;
    }
    return !objective[q->n];
}

static bool solve(Prover *p, Problem *q, Origin *used)
{
    *used = (Origin){.rules = BIT(S2)};
    if (!set_up(p, q) || !simplex(p, q)) return false;
    for (unsigned i = 0; i <= q->rows; i++)
        if (q->basic[i] >= 0 && p->table[i][q->n] && q->known[q->basic[i]] < p->n_known)
            *used = origin_join(*used, p->known[q->known[q->basic[i]]].origin);
    return true;
}

static bool any_negative(const Problem *q)
{
    for (unsigned j = 0; j < q->n; j++)
        if (q->column[j]->constant < 0) return true;
    return false;
}

bool linear_contradiction(Prover *p, Origin *used)
{
    const Poly *polys[MAX_KNOWN];
    uint16_t known[MAX_KNOWN];
    for (unsigned k = 0; k < p->n_known; k++) {
        polys[k] = &p->known[k].p;
        known[k] = (uint16_t)k;
    }
    Problem q;
    q.n = drop_uncancelled(polys, known, p->n_known);
    if (q.n > MAX_COLUMNS) q.n = MAX_COLUMNS;
    for (unsigned k = 0; k < q.n; k++) {
        q.column[k] = polys[k];
        q.known[k] = known[k];
    }
    return any_negative(&q) && solve(p, &q, used);
}

static bool is_pure(const Prover *p, const Poly *a)
{
    for (unsigned t = 0; t < a->n; t++)
        if (!mono_pure(p, a->mono[t])) return false;
    return true;
}

bool pure_contradiction(Prover *p, const Poly *extra, unsigned n_extra)
{
    const Poly *polys[MAX_KNOWN + 64];
    uint16_t known[MAX_KNOWN + 64];
    unsigned n = 0;
    for (unsigned k = 0; k < n_extra; k++) {
        polys[n] = &extra[k];
        known[n++] = UINT16_MAX;
    }
    for (unsigned k = 0; k < p->n_known; k++) {
        const Known *y = &p->known[k];
        if (y->start || y->origin.from || !is_pure(p, &y->p)) continue;
        polys[n] = &y->p;
        known[n++] = (uint16_t)k;
    }
    Problem q;
    Origin used;
    q.n = drop_uncancelled(polys, known, n);
    if (q.n > MAX_COLUMNS) q.n = MAX_COLUMNS;
    memcpy(q.column, polys, q.n * sizeof *polys);
    memcpy(q.known, known, q.n * sizeof *known);
    return any_negative(&q) && solve(p, &q, &used);
}

bool known_at_least(Prover *p, const Poly *a, const Poly *b, Origin *used)
{
    Poly denied, wanted;
    *used = (Origin){0};
    if (!poly_scale_add(p, b, 1, a, -1, &denied) || !poly_scale_add(p, a, 1, b, -1, &wanted)) return false;
    if (!wanted.n) return wanted.constant >= 0;
    for (unsigned k = 0; k < p->n_known; k++) { /* often it is known as it stands */
        Poly same = p->known[k].p;
        if (same.constant > wanted.constant) continue;
        same.constant = wanted.constant;
        if (!poly_equal(&same, &wanted)) continue;
        *used = p->known[k].origin;
        return true;
    }
    if (p->n_known == MAX_KNOWN || !poly_add_constant(&denied, -1)) return false;
    p->known[p->n_known++] = (Known){.p = denied};
    const bool done = linear_contradiction(p, used);
    p->n_known--;
    return done;
}
