// Requests to the server that served this page, and to no other.

const PATIENCE = 15_000; // ms

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
  // Whether the same request may succeed later: the server is away, was started anew, or the disk is full.
  get passes() {
    return this.status === 0 || this.status === 403 || this.status >= 500;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Refused(0, "The server does not answer. Start it again with the same command.");
  }
  if (answer.ok) return answer;
  let reason = `The server answered ${answer.status}.`;
  try {
    reason = (await answer.json()).error ?? reason;
  } catch {
    // no JSON: the status says it
  }
  throw new Refused(answer.status, reason);
}

const query = (values) => new URLSearchParams(values).toString();

export async function getState(reader, adjudicating) {
  const asked = reader === null ? "" : `?${query({ reader, adjudicating })}`;
  return (await ask(`/api/state${asked}`)).json();
}

export async function getItems(rows, reader, adjudicating) {
  const asked = query({ rows: rows.join(","), reader, adjudicating });
  return (await (await ask(`/api/items?${asked}`)).json()).items;
}

export async function getProgress(reader) {
  return (await ask(`/api/progress?${query({ reader })}`)).json();
}

export async function getImage(row) {
  return (await ask(`/image/${row}`)).blob();
}

export async function postDecision(press) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(press) };
  return (await ask("/api/decisions", options)).json();
}
