/* attnc lsp: the loop of the language server. Diagnostics are made when no message waits, so that fast typing
 * does not queue them up. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compiler/command/lsp.h"

/* Of JSON-RPC and of the protocol. */
enum {
    PARSE_ERROR = -32700,
    INVALID_REQUEST = -32600,
    NO_METHOD = -32601,
    INVALID_PARAMS = -32602,
    INTERNAL_ERROR = -32603,
    NOT_INITIALIZED = -32002
};

/* ---- messages out ---- */

static void write_message(LspServer *s, json_t *message)
{
    if (!message || !lsp_write(message)) s->lost = true;
    json_decref(message);
}

static void respond(LspServer *s, const json_t *id, json_t *result)
{
    write_message(
        s, json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result ? result : json_null()));
}

static void refuse(LspServer *s, const json_t *id, int code, const char *text)
{
    json_t *null = json_null();
    write_message(s, json_pack("{s:s, s:O, s:{s:i, s:o}}", "jsonrpc", "2.0", "id", id ? id : null, "error",
                               "code", code, "message", lsp_string(text)));
}

static void notify(LspServer *s, const char *method, json_t *params)
{
    write_message(s, json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}

static void publish_all(LspServer *s)
{
    for (size_t k = 0; k < s->n; k++)
        if (s->documents[k]->dirty)
            notify(s, "textDocument/publishDiagnostics", lsp_publish(s, s->documents[k]));
}

/* ---- the life of the server ---- */

static json_t *capabilities(void)
{
    return json_pack(
        "{s:{s:{s:b, s:i, s:b}, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:{s:[s, s]}}, s:{s:s, s:s}}",
        "capabilities", "textDocumentSync", "openClose", 1, "change", 1, "save", 1, "hoverProvider", 1,
        "definitionProvider", 1, "referencesProvider", 1, "documentHighlightProvider", 1,
        "documentSymbolProvider", 1, "documentFormattingProvider", 1, "codeActionProvider", 1,
        "renameProvider", 1, "completionProvider", "triggerCharacters", "\"", "/", "serverInfo", "name",
        "attnc", "version", ATTN_VERSION);
}

static const char *string_at(const json_t *object, const char *key, size_t *length)
{
    const json_t *value = json_object_get(object, key);
    if (length) *length = json_string_length(value);
    return json_string_value(value);
}

static const json_t *document_of(const json_t *params) { return json_object_get(params, "textDocument"); }
static const char *uri_of(const json_t *params) { return string_at(document_of(params), "uri", NULL); }

static void did_open(LspServer *s, const json_t *params)
{
    size_t n;
    const char *uri = uri_of(params), *text = string_at(document_of(params), "text", &n);
    json_int_t version = json_integer_value(json_object_get(document_of(params), "version"));
    if (uri && text && !lsp_open(s, uri, text, n, version)) complain("no memory for %s", uri);
}

static void did_change(LspServer *s, const json_t *params)
{
    const json_t *changes = json_object_get(params, "contentChanges");
    const json_t *last = json_array_get(changes, json_array_size(changes) - 1);
    LspDocument *d = uri_of(params) ? lsp_document(s, uri_of(params)) : NULL;
    size_t n;
    const char *text = string_at(last, "text", &n);
    json_int_t version = json_integer_value(json_object_get(document_of(params), "version"));
    if (!d || !text || json_object_get(last, "range"))
        complain("a change that is not the whole text of an open one");
    else if (!lsp_change(s, d, text, n, version))
        complain("no memory for %s", d->uri);
}

static void did_save(LspServer *s, const json_t *params)
{
    LspDocument *d = uri_of(params) ? lsp_document(s, uri_of(params)) : NULL;
    if (d) d->dirty = d->saved = true;
}

static void did_close(LspServer *s, const json_t *params)
{
    LspDocument *d = uri_of(params) ? lsp_document(s, uri_of(params)) : NULL;
    if (!d) return;
    notify(s, "textDocument/publishDiagnostics", /* none any more */
           json_pack("{s:s, s:[]}", "uri", d->uri, "diagnostics"));
    lsp_close(s, d);
}

static const struct {
    const char *method;
    void (*run)(LspServer *s, const json_t *params);
} notifications[] = {
    {"textDocument/didOpen", did_open},
    {"textDocument/didChange", did_change},
    {"textDocument/didSave", did_save},
    {"textDocument/didClose", did_close},
};

/* ---- requests about a text ---- */

static const struct {
    const char *method;
    LspAnswer *run;
    bool position;
} answers[] = {
    {"textDocument/hover", lsp_hover, true},
    {"textDocument/definition", lsp_definition, true},
    {"textDocument/references", lsp_references, true},
    {"textDocument/documentHighlight", lsp_highlight, true},
    {"textDocument/completion", lsp_complete, true},
    {"textDocument/documentSymbol", lsp_symbols, false},
    {"textDocument/formatting", lsp_format, false},
    {"textDocument/codeAction", lsp_actions, false},
    {"textDocument/rename", lsp_rename, true},
};

static void answer(LspServer *s, const json_t *id, LspAnswer *run, const LspDocument *d, const json_t *params)
{
    static Compilation c;
    compilation_init(&c);
    if (!setjmp(c.escape)) {
        LspText t;
        lsp_text(&t, s, d, &c);
        json_t *result = run(&t, params);
        if (t.error)
            refuse(s, id, INVALID_PARAMS, t.error);
        else
            respond(s, id, result);
    } else
        refuse(s, id, INTERNAL_ERROR, c.fatal);
    compilation_free(&c);
}

/* False: there is no such method. */
static bool answer_about(LspServer *s, const json_t *id, const char *method, const json_t *params)
{
    for (size_t k = 0; k < sizeof answers / sizeof *answers; k++) {
        if (strcmp(method, answers[k].method)) continue;
        const LspDocument *d = uri_of(params) ? lsp_document(s, uri_of(params)) : NULL;
        const json_t *position = json_object_get(params, "position");
        bool placed = json_is_integer(json_object_get(position, "line")) &&
                      json_is_integer(json_object_get(position, "character"));
        if (!d)
            refuse(s, id, INVALID_PARAMS, "no such text is open");
        else if (answers[k].position && !placed)
            refuse(s, id, INVALID_PARAMS, "a position is missing");
        else
            answer(s, id, answers[k].run, d, params);
        return true;
    }
    return false;
}

static void request(LspServer *s, const json_t *id, const char *method, const json_t *params)
{
    bool first = !strcmp(method, "initialize");
    if (s->shut_down)
        refuse(s, id, INVALID_REQUEST, "the server is shut down");
    else if (!s->initialized && !first)
        refuse(s, id, NOT_INITIALIZED, "initialize comes first");
    else if (s->initialized && first)
        refuse(s, id, INVALID_REQUEST, "initialize comes once");
    else if (first)
        s->initialized = true, respond(s, id, capabilities());
    else if (!strcmp(method, "shutdown"))
        s->shut_down = true, respond(s, id, NULL);
    else if (!answer_about(s, id, method, params))
        refuse(s, id, NO_METHOD, method);
}

static void notification(LspServer *s, const char *method, const json_t *params)
{
    if (!strcmp(method, "exit")) s->ended = true;
    for (size_t k = 0; s->initialized && !s->shut_down && k < sizeof notifications / sizeof *notifications;
         k++)
        if (!strcmp(method, notifications[k].method)) notifications[k].run(s, params);
}

/* ---- messages in ---- */

static void take(LspServer *s, const json_t *message)
{
    const char *method = string_at(message, "method", NULL);
    const json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params");
    bool valid_id = !id || json_is_string(id) || json_is_number(id);
    if (!json_is_object(message) || !valid_id)
        refuse(s, NULL, INVALID_REQUEST, "no request of JSON-RPC 2.0");
    else if (!method && !json_object_get(message, "result") && !json_object_get(message, "error"))
        refuse(s, id, INVALID_REQUEST, "a request without a method");
    else if (method && id)
        request(s, id, method, params);
    else if (method)
        notification(s, method, params);
}

static void read_message(LspServer *s)
{
    size_t n;
    const char *wrong = NULL;
    json_error_t error;
    switch (lsp_read(&s->reader, &n, &wrong)) {
    case LSP_ENDED: s->ended = true; return;
    case LSP_MALFORMED: refuse(s, NULL, PARSE_ERROR, wrong); return;
    case LSP_FRAME: break;
    }
    json_t *message = json_loadb(s->reader.body, n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (message)
        take(s, message);
    else
        refuse(s, NULL, PARSE_ERROR, error.text);
    json_decref(message);
}

int command_lsp(const Options *o)
{
    LspServer s = {.options = o, .reader.fd = STDIN_FILENO};
    while (!s.ended && !s.lost) {
        if (!lsp_waiting(&s.reader)) publish_all(&s);
        read_message(&s);
    }
    while (s.n) lsp_close(&s, s.documents[0]);
    free(s.documents);
    lsp_reader_free(&s.reader);
    return s.shut_down ? EXIT_FINE : EXIT_INPUT;
}
