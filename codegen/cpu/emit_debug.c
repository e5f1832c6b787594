/* -g: line tables that lead from machine code to the equations. Only functions and places are described;
 * variables and types are not. */
#include "emit.h"

#include <string.h>

static LLVMMetadataRef file_of(Emitter *e, uint32_t source)
{
    if (source >= e->c->sources.n) source = 0;
    if (e->di_files[source]) return e->di_files[source];
    const char *path = e->c->sources.at[source].path, *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t folder = slash ? (size_t)(slash - path) : 0;
    return e->di_files[source] =
               LLVMDIBuilderCreateFile(e->di, name, strlen(name), folder ? path : ".", folder ? folder : 1);
}

static void add_flag(Emitter *e, const char *name, unsigned value)
{
    LLVMMetadataRef v = LLVMValueAsMetadata(emit_i32(e, value));
    LLVMAddModuleFlag(e->module, LLVMModuleFlagBehaviorWarning, name, strlen(name), v);
}

void emit_debug_begin(Emitter *e)
{
    if (!e->job->debug || !e->c->sources.n) return;
    static const char producer[] = "attnc " ATTN_VERSION;
    add_flag(e, "Debug Info Version", LLVMDebugMetadataVersion());
    add_flag(e, "Dwarf Version", 4);
    e->di = LLVMCreateDIBuilder(e->module);
    e->di_files = NEW_ARRAY(e->c, LLVMMetadataRef, e->c->sources.n);
    e->di_scopes = NEW_ARRAY(e->c, LLVMMetadataRef, e->c->sources.n);
    e->di_unit = LLVMDIBuilderCreateCompileUnit(
        e->di, LLVMDWARFSourceLanguageC99, file_of(e, 0), producer, sizeof producer - 1, true, "", 0, 0, "",
        0, LLVMDWARFEmissionLineTablesOnly, 0, false, false, "", 0, "", 0);
    e->di_type = LLVMDIBuilderCreateSubroutineType(e->di, file_of(e, 0), NULL, 0, LLVMDIFlagZero);
}

void emit_debug_function(Emitter *e, LLVMValueRef function, Span span)
{
    if (!e->di) return;
    unsigned line = 0, column = 0;
    if (span.to) span_position(e->c, span, &line, &column);
    size_t length;
    const char *name = LLVMGetValueName2(function, &length);
    LLVMMetadataRef file = file_of(e, span.to ? span.source : 0);
    e->di_scope = LLVMDIBuilderCreateFunction(e->di, file, name, length, name, length, file, line, e->di_type,
                                              true, true, line, LLVMDIFlagZero, true);
    LLVMSetSubprogram(function, e->di_scope);
    memset(e->di_scopes, 0, sizeof(LLVMMetadataRef) * e->c->sources.n);
    e->di_scopes[span.to && span.source < e->c->sources.n ? span.source : 0] = e->di_scope;
    LLVMSetCurrentDebugLocation2(
        e->b, LLVMDIBuilderCreateDebugLocation(e->context, line, column, e->di_scope, NULL));
}

void emit_debug_place(Emitter *e, Span span)
{
    if (!e->di || !span.to || span.source >= e->c->sources.n) return;
    LLVMMetadataRef *scope = &e->di_scopes[span.source];
    if (!*scope) *scope = LLVMDIBuilderCreateLexicalBlockFile(e->di, e->di_scope, file_of(e, span.source), 0);
    unsigned line, column;
    span_position(e->c, span, &line, &column);
    LLVMSetCurrentDebugLocation2(e->b,
                                 LLVMDIBuilderCreateDebugLocation(e->context, line, column, *scope, NULL));
}

void emit_debug_end(Emitter *e)
{
    if (e->di) LLVMDIBuilderFinalize(e->di);
}
