/* What attnc show draws: one map, at sizes and data as `run` takes them, and which pictures of it. */
#include "compiler/command/show.h"

#include <math.h>
#include <string.h>

#include "compiler/tape.h"

enum { MOST_HEADS = 64, MOST_PICTURES = 12, MOST_SLICES = 9 };
static const uint64_t limit = 1000000000; /* of the interpreter's operations for selections */

/* ---- up to the map ---- */

static const char *make_call(Scene *s, bool numbers)
{
    call_init(&s->call, s->c, s->pattern, false);
    s->call.most_reals = numbers ? 0 : 1;
    const char *wrong = case_sizes(&s->call, s->o);
    for (uint32_t k = 0; !wrong && s->o->html && k < s->o->definitions.n; k++)
        wrong = case_define(&s->call, s->o->definitions.at[k]);
    if (!wrong) wrong = case_inputs(&s->call, s->o);
    if (!wrong) wrong = call_complete(&s->call, (uint64_t)s->o->seed, false);
    if (!wrong) s->arguments = call_arguments(&s->call);
    return wrong;
}

static const char *check_conditions(Scene *s)
{
    for (uint32_t k = 0; k < s->pattern->conditions.n; k++) {
        const Condition *condition = &s->pattern->conditions.at[k];
        Scalar value;
        if (tape_value(s->c, condition->test, s->arguments, &value) && !value.i)
            return format(s->c, "'%s' does not hold", condition->text);
    }
    return NULL;
}

static const char *names(Scene *s)
{
    Text text = {.c = s->c};
    for (uint32_t k = 0; k < s->maps.n; k++) text_add(&text, "%s%s", k ? ", " : "", s->maps.at[k].name);
    return text.at;
}

/* By --stage, else the first with a condition. */
static const char *choose_map(Scene *s)
{
    const char *stage = s->o->stage;
    for (uint32_t k = 0; k < s->maps.n && !s->map; k++) {
        ShowMap *map = &s->maps.at[k];
        bool named =
            stage && (!strcmp(stage, map->name) || !strcmp(stage, map->stage->equation->tensor->name));
        if (stage ? named : show_is_masked(map)) s->map = map;
    }
    if (!s->map && !stage && s->maps.n) s->map = s->maps.at;
    if (s->map || !stage) return NULL;
    if (!s->maps.n) return format(s->c, "--stage %s: the pattern has no sum over keys", stage);
    return format(s->c, "--stage %s: the sums over keys are %s", stage, names(s));
}

const char *scene_make(Scene *s, const char *file)
{
    const char *wrong = case_pattern(s->p, file, &s->pattern);
    if (wrong) return wrong;
    s->plan = pipeline_plan(s->p, s->pattern);
    show_maps(s->c, s->plan, &s->maps);
    wrong = choose_map(s);
    if (!wrong) wrong = make_call(s, s->map && show_needs_numbers(s->c, s->plan, s->map));
    if (!wrong) wrong = check_conditions(s);
    if (wrong || !s->map) return wrong;
    return show_prepare(s->c, s->plan, s->map, s->arguments, limit);
}

const char *scene_condition(const Scene *s, const ShowMap *map)
{
    if (!show_is_masked(map)) return "no mask: every query sees every key";
    enum { MOST = 600 };
    Text text = {.c = s->c}, brief = {.c = s->c};
    node_print(&text, map->condition);
    if (text.n <= MOST) return text.at;
    node_print_short(&brief, map->condition);
    return brief.at;
}

/* ---- where the pictures are taken ---- */

static int64_t extent(const Scene *s, unsigned variable)
{
    return tape_extent(s->c, s->map->variables[variable], s->arguments);
}

static const char *out_of_range(const Scene *s, const char *option, const Index *index, int64_t at, int64_t n)
{
    return format(s->c, "%s: %s = %lld is not in 0..%lld", option, index->name, (long long)at, (long long)n);
}

static const char *choose(Scene *s, unsigned variable, const char *option, int64_t at)
{
    int64_t n = extent(s, variable);
    if (at < 0 || at >= n) return out_of_range(s, option, s->map->variables[variable], at, n);
    s->at[variable] = at;
    s->chosen[variable] = true;
    return NULL;
}

/* An ambient index, by name or the heads; where the mask is not about it, it need only exist. */
static const char *choose_ambient(Scene *s, const char *option, const char *name, int64_t at)
{
    for (unsigned k = 0; k < s->map->n_others; k++)
        if (name ? !strcmp(s->map->variables[k]->name, name) : s->map->variables[k]->heads)
            return choose(s, k, option, at);
    for (uint32_t k = 0; k < s->pattern->indices.n; k++) {
        const Index *index = s->pattern->indices.at[k];
        int64_t n = s->call.extents[k];
        if (!index->ambient || (name ? strcmp(index->name, name) != 0 : !index->heads)) continue;
        return at >= 0 && at < n ? NULL : out_of_range(s, option, index, at, n);
    }
    return name ? format(s->c, "%s %s: the pattern has no such ambient index", option, name)
                : format(s->c, "%s: the pattern has no ambient index", option);
}

static const char *choose_places(Scene *s)
{
    const char *wrong = NULL, *name;
    int64_t at;
    if (s->o->head && !pipeline_parse_int(s->o->head, &at))
        return format(s->c, "--head %s: expected a number", s->o->head);
    if (s->o->head) wrong = choose_ambient(s, "--head", NULL, at);
    for (uint32_t n = 0; !wrong && n < s->o->places.n; n++) {
        const char *value = case_value(s->c, s->o->places.at[n], &name);
        if (!name || !pipeline_parse_int(value, &at))
            return format(s->c, "--at %s: expected INDEX=N", s->o->places.at[n]);
        wrong = choose_ambient(s, "--at", name, at);
    }
    return wrong;
}

/* `y,x`: one number for every index of the query. */
static const char *choose_query(Scene *s)
{
    const char *text = s->o->query, *wrong = NULL;
    unsigned first = s->map->n_others, n = s->map->n_rows;
    for (unsigned k = first; k < first + n; k++) s->at[k] = extent(s, k) / 2;
    for (unsigned k = 0; text && !wrong; k++) {
        size_t length = strcspn(text, ",");
        int64_t at;
        if (!pipeline_parse_int(intern(s->c, text, length), &at) || k >= n || (k + 1 < n && !text[length]))
            return format(s->c, "--query %s: expected %u number%s with commas between", s->o->query, n,
                          n == 1 ? "" : "s");
        wrong = choose(s, first + k, "--query", at);
        text = text[length] ? text + length + 1 : NULL;
    }
    return wrong;
}

/* ---- pictures ---- */

static ShowCut cut_of_query(const Scene *s, int64_t slice)
{
    ShowCut cut;
    const ShowMap *map = s->map;
    memcpy(cut.at, s->at, sizeof cut.at);
    for (unsigned k = 0; k < map->n; k++) cut.axis[k] = SHOW_FIXED;
    cut.axis[map->n - 1] = SHOW_COLUMNS;
    if (map->n_columns > 1) cut.axis[map->n - 2] = SHOW_ROWS;
    if (map->n_columns > 2) cut.at[map->n - 3] = slice;
    return cut;
}

static ShowCut cut_of_all(const Scene *s)
{
    ShowCut cut;
    memcpy(cut.at, s->at, sizeof cut.at);
    for (unsigned k = 0; k < s->map->n; k++) {
        bool row = k < s->map->n_others + s->map->n_rows;
        cut.axis[k] = k < s->map->n_others ? SHOW_FIXED : row ? SHOW_ROWS : SHOW_COLUMNS;
    }
    return cut;
}

static const char *draw(Scene *s, const ShowCut *cut, const char *title, bool whole)
{
    Picture picture = {title, whole, {0}};
    const char *wrong =
        show_panel(s->c, s->map, s->arguments, cut, s->most_height, s->most_width, &picture.panel);
    if (!wrong) PUSH(s->c, &s->pictures, picture);
    return wrong;
}

static void add_places(const Scene *s, Text *out, unsigned first, unsigned n)
{
    for (unsigned k = 0; k < n; k++) text_add(out, "%s%s", k ? ", " : "", s->map->variables[first + k]->name);
    text_add(out, " = ");
    for (unsigned k = 0; k < n; k++) text_add(out, "%s%lld", k ? ", " : "", (long long)s->at[first + k]);
}

/* The keys of one query: a line, a plane, or planes. */
static const char *draw_query(Scene *s, const char *head)
{
    const ShowMap *map = s->map;
    Text title = {.c = s->c};
    text_add(&title, "%s%squery ", head ? head : "", head ? ", " : "");
    add_places(s, &title, map->n_others, map->n_rows);
    unsigned slice = map->n - 3, drawn = 0;
    bool planes = map->n_columns > 2;
    const char *wrong = NULL;
    for (int64_t at = 0; !wrong && at < (planes ? extent(s, slice) : 1) && drawn < MOST_SLICES; at++) {
        ShowCut cut = cut_of_query(s, at);
        const char *name = title.at;
        if (planes) name = format(s->c, "%s, %s = %lld", name, map->variables[slice]->name, (long long)at);
        wrong = draw(s, &cut, name, false);
        if (wrong || !planes) break;
        if (s->pictures.at[s->pictures.n - 1].panel.visible == 0)
            s->pictures.n--; /* planes without any are left out */
        else
            drawn++;
    }
    return wrong;
}

static bool has_query(const Scene *s)
{
    const ShowMap *map = s->map;
    if (map->n_columns > 3) return false;
    for (unsigned k = map->n_others; k < map->n_others + map->n_rows; k++)
        if (extent(s, k) < 1) return false;
    return s->o->query || (map->n_columns > 1 && map->n_rows > 0);
}

static const char *draw_head(Scene *s, const char *head)
{
    ShowCut cut = cut_of_all(s);
    const char *wrong = has_query(s) ? draw_query(s, head) : NULL, *title = head;
    if (wrong) return wrong;
    if (has_query(s)) title = format(s->c, "%s%sflattened", head ? head : "", head ? ", " : "");
    wrong = draw(s, &cut, title, true);
    if (!wrong || !has_query(s)) return wrong;
    s->note = wrong; /* the flattened one may be far larger */
    return NULL;
}

/* Which masks are equal is found out on pictures of one cell. */
static const char *identify_heads(Scene *s, unsigned variable, int64_t n, uint64_t *identity)
{
    const char *wrong = NULL;
    unsigned height = s->most_height, width = s->most_width;
    s->most_height = s->most_width = 1;
    for (int64_t k = 0; !wrong && k < n; k++) {
        s->at[variable] = k;
        ShowCut cut = cut_of_all(s);
        wrong = draw(s, &cut, NULL, true);
        if (wrong) break;
        const ShowPanel *panel = &s->pictures.at[--s->pictures.n].panel;
        identity[k] = panel->identity;
        s->visible_heads += panel->visible;
    }
    s->most_height = height;
    s->most_width = width;
    return wrong;
}

static bool is_first(const uint64_t *identity, int64_t k)
{
    for (int64_t i = 0; i < k; i++)
        if (identity[i] == identity[k]) return false;
    return true;
}

/* Pictures that share a row of the terminal are narrower, with frames and gaps, unless they would be too
 * narrow. */
static void share_width(Scene *s, unsigned pictures)
{
    enum { FRAME = 2, GAP = 2, LEAST = 14 };
    unsigned width = (s->most_width + FRAME + GAP) / (pictures ? pictures : 1);
    if (!s->o->outputs.n && width >= LEAST + FRAME + GAP) s->most_width = width - FRAME - GAP;
}

/* Heads with equal masks share a picture: `h = 0, 2, 3`. */
static const char *draw_heads(Scene *s, unsigned variable, int64_t n)
{
    uint64_t identity[MOST_HEADS];
    unsigned distinct = 0;
    const char *wrong = identify_heads(s, variable, n, identity);
    for (int64_t k = 0; !wrong && k < n; k++) distinct += is_first(identity, k);
    share_width(s, distinct);
    for (int64_t k = 0; !wrong && k < n && s->pictures.n < MOST_PICTURES; k++) {
        Text title = {.c = s->c};
        if (!is_first(identity, k)) continue;
        text_add(&title, "%s = %lld", s->map->variables[variable]->name, (long long)k);
        for (int64_t i = k + 1; i < n; i++)
            if (identity[i] == identity[k]) text_add(&title, ", %lld", (long long)i);
        s->at[variable] = k;
        wrong = draw_head(s, title.at);
    }
    return wrong;
}

static void count_all(Scene *s)
{
    Stream all = s->map->stream;
    s->points = 1;
    for (unsigned k = 0; k < all.n_variables; k++)
        s->points *= (double)tape_extent(s->c, all.variables[k], s->arguments);
    const Picture *last = s->pictures.n ? &s->pictures.at[s->pictures.n - 1] : NULL;
    double shown = last ? (double)last->panel.rows * (double)last->panel.columns : 0;
    bool heads = s->map->n_others == 1 && s->heads > 0;
    if (last && last->whole && (heads || !s->map->n_others)) {
        double one = heads ? s->visible_heads / (double)s->heads : last->panel.visible;
        s->visible = shown > 0 ? one * (s->points / shown) : 0;
        return;
    }
    all.test = s->map->test;
    s->visible = streams_visible(s->c, &all, s->arguments);
}

const char *scene_draw(Scene *s)
{
    const char *wrong = choose_places(s);
    if (!wrong) wrong = choose_query(s);
    if (wrong) return wrong;
    unsigned heads = 0;
    while (heads < s->map->n_others && !s->map->variables[heads]->heads) heads++;
    bool each = heads < s->map->n_others && !s->chosen[heads];
    for (unsigned k = 0; k < s->map->n_others; k++)
        if (extent(s, k) < 1) return "there is nothing to draw: an ambient index has extent 0";
    if (each) {
        int64_t n = extent(s, heads);
        if (n <= MOST_HEADS) s->heads = n;
        wrong = draw_heads(s, heads, n < MOST_HEADS ? n : MOST_HEADS);
    } else
        wrong = draw_head(s, NULL);
    if (!wrong) count_all(s);
    return wrong;
}
