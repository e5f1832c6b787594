// Starts `attnc lsp` for files of attention patterns. Without the client library there are colours alone.
"use strict";
const vscode = require("vscode");

let client;

exports.activate = function () {
    let library;
    try {
        library = require("vscode-languageclient/node");
    } catch (error) {
        return;
    }
    const settings = vscode.workspace.getConfiguration("attnc");
    const server = {command: settings.get("path"), args: settings.get("arguments")};
    const options = {documentSelector: [{language: "attn"}]};
    client = new library.LanguageClient("attnc", "attnc", {run: server, debug: server}, options);
    return client.start();
};

exports.deactivate = function () {
    return client && client.stop();
};
