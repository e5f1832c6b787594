/* Coordinates: at which coordinate an index stands, through binders, flattened indices, blocks and origins.
 */
#include "check.h"

bool is_axis(const Checker *k, const Index *axis, const Index *flat)
{
    const IndexInfo *info = &k->info[flat->id];
    for (uint32_t p = 0; info->flatten && p < info->parts.n; p++)
        if (info->parts.at[p] == axis || is_axis(k, axis, info->parts.at[p])) return true;
    return false;
}

enum { FRAMES_SEARCHED = 256 };

/* Frames are shared, so that equal maps are mostly equal pointers (memos of closures compare them). */
static Map *frame(Checker *k, Map *up, Index *index, Node *at)
{
    uint32_t oldest = k->maps.n > FRAMES_SEARCHED ? k->maps.n - FRAMES_SEARCHED : 0;
    for (uint32_t n = k->maps.n; n-- > oldest;) {
        Map *m = k->maps.at[n];
        if (m->up == up && m->index == index && m->at == at) return m;
    }
    Map *m = NEW(k->c, Map);
    *m = (Map){up, index, at};
    PUSH(k->c, &k->maps, m);
    return m;
}

static Map *without(Checker *k, Map *map, const Index *index)
{
    if (!map) return NULL;
    if (map->index == index) return map->up;
    Map *up = without(k, map->up, index);
    return up == map->up ? map : frame(k, up, map->index, map->at);
}

Map *map_push(Checker *k, Map *map, Index *index, Node *at)
{
    if (map && map->index == index && map->at == at) return map;
    return frame(k, without(k, map, index), index, at);
}

static Node *resolve(Checker *k, Map *map, Index *index);

/* The product of the extents of the parts after number p. */
static Node *stride(Checker *k, const IndexInfo *info, uint32_t p)
{
    Node *n = node_int(k->c, 1);
    for (uint32_t q = info->parts.n; q-- > p + 1;)
        n = node_binary(k->c, N_MUL, node_size(k->c, info->parts.at[q]), n);
    return n;
}

/* The coordinate of `axis` where `flat` stands at `at`. */
static Node *axis_of_flat(Checker *k, Index *axis, Index *flat, Node *at)
{
    const IndexInfo *info = &k->info[flat->id];
    for (uint32_t p = 0; p < info->parts.n; p++) {
        Index *part = info->parts.at[p];
        if (part != axis && !is_axis(k, axis, part)) continue;
        Node *n = node_binary(k->c, N_FLOORDIV, at, stride(k, info, p));
        if (p) n = node_binary(k->c, N_MOD, n, node_size(k->c, part));
        return part == axis ? n : axis_of_flat(k, axis, part, n);
    }
    BUG(k->c, "%s is no axis of %s", axis->name, flat->name);
}

static Node *flat_of_axes(Checker *k, Map *map, Index *flat)
{
    const IndexInfo *info = &k->info[flat->id];
    Node *n = node_int(k->c, 0);
    for (uint32_t p = 0; p < info->parts.n; p++) {
        Node *part = node_binary(k->c, N_MUL, resolve(k, map, info->parts.at[p]), stride(k, info, p));
        n = node_binary(k->c, N_ADD, n, part);
    }
    return n;
}

static Node *resolve(Checker *k, Map *map, Index *index)
{
    for (Map *m = map; m; m = m->up) {
        if (m->index == index) return m->at;
        if (is_axis(k, index, m->index)) return axis_of_flat(k, index, m->index, m->at);
        if (is_axis(k, m->index, index)) return flat_of_axes(k, map, index);
    }
    return node_index(k->c, index);
}

Node *coordinate(const Env *e, Index *index) { return resolve(e->k, e->map, index); }

Index *index_by_id(const Checker *k, unsigned id)
{
    Index *owner = k->info[id].self;
    if (!owner) BUG(k->c, "index number %u is unknown", id);
    return owner;
}

Node *at_map(const Env *e, Node *n)
{
    if (!e->map) return n;
    Compilation *c = e->k->c;
    Index *from[MAX_INDICES];
    Node *to[MAX_INDICES];
    unsigned count = 0;
    for (unsigned id = 0; id < c->next_index; id++) {
        if (!set_has(n->free, id) || !e->k->info[id].self) continue;
        from[count] = e->k->info[id].self;
        to[count] = coordinate(e, from[count]);
        count++;
    }
    return node_substitute(c, n, count, from, to);
}

Node *origin_of(const Env *e, Index *index) { return index->origin ? at_map(e, index->origin) : NULL; }

Node *position(const Env *e, Index *index)
{
    Node *at = coordinate(e, index), *origin = origin_of(e, index);
    return origin ? node_binary(e->k->c, N_ADD, origin, at) : at;
}

Node *from_position(const Env *e, Index *index, Node *n)
{
    Node *origin = origin_of(e, index);
    return origin ? node_binary(e->k->c, N_SUB, n, origin) : n;
}

Map *map_bind(const Env *e, Index *index, Index **var)
{
    IndexSet mentioned = {0};
    bool captured = false;
    for (Map *m = e->map; m; m = m->up) {
        if (m->index == index) continue;
        captured |= node_depends_on(m->at, index);
        for (unsigned w = 0; w < MAX_INDICES / 64; w++) mentioned.words[w] |= m->at->free->words[w];
    }
    *var = captured ? index_variant(e->k->c, index, &mentioned) : index;
    if (captured) e->k->info[(*var)->id].self = *var;
    return map_push(e->k, e->map, index, node_index(e->k->c, *var));
}
