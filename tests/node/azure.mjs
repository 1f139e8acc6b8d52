// Validate pipelines as Azure's editors do: node azure.mjs SCHEMA FILE... prints what is wrong.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { getLanguageService } = require("azure-pipelines-language-service");
const { parse } = require("azure-pipelines-language-service/lib/parser/yamlParser.js");
const { TextDocument } = require("vscode-languageserver-types");

console.log = () => {}; // the service tells of its own doings there
const [schema, ...names] = process.argv.slice(2);
const load = async (path) => JSON.parse(readFileSync(path, "utf8"));
const service = getLanguageService(load, [], async () => schema);
service.configure({ validate: true });
for (const name of names) {
  const document = TextDocument.create(name, "azure-pipelines", 1, readFileSync(name, "utf8"));
  for (const { range, message } of await service.doValidation(document, parse(document.getText())))
    process.stdout.write(`${name} (Line: ${range.start.line + 1}): ${message}\n`);
}
