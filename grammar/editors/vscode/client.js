// Starts `guidec lsp` and connects it with the editor.

const vscode = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

function options() {
  const settings = vscode.workspace.getConfiguration("guide.server");
  const folders = settings.get("allowPath", []);
  const args = ["lsp", ...folders.flatMap((folder) => ["--allow-path", folder])];
  return { command: settings.get("path", "guidec"), args, transport: TransportKind.stdio };
}

async function start() {
  const server = options();
  const watcher = vscode.workspace.createFileSystemWatcher("**/*.guide");
  client = new LanguageClient("guide", "Guide", server, {
    documentSelector: [
      { scheme: "file", language: "guide" },
      { scheme: "untitled", language: "guide" },
    ],
    synchronize: { fileEvents: watcher },
  });
  try {
    await client.start();
  } catch (error) {
    const setting = "Open the setting";
    const message = `'${server.command} lsp' did not start: ${error.message ?? error}`;
    vscode.window.showErrorMessage(message, setting).then((chosen) => {
      if (chosen === setting) {
        vscode.commands.executeCommand("workbench.action.openSettings", "guide.server.path");
      }
    });
  }
}

async function stop() {
  const running = client;
  client = undefined;
  // One that did not start has nothing to stop.
  await running?.stop().catch(() => {});
}

async function activate(context) {
  const restart = vscode.commands.registerCommand("guide.restart", async () => {
    await stop();
    await start();
  });
  context.subscriptions.push(restart);
  await start();
}

module.exports = { activate, deactivate: stop };
