// The browser's half of a passkey ceremony: options from the server, a signature from the authenticator, and back.
"use strict";

async function post(path, fields) {
  const answer = await fetch(path, { method: "POST", body: new URLSearchParams(fields) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.problem || body.detail || "It did not work.");
  return body;
}

document.getElementById("passkey")?.addEventListener("click", async (event) => {
  const { options, finish, kind, csrf } = event.currentTarget.dataset;
  const problem = document.getElementById("passkey-problem");
  problem.textContent = "";
  try {
    // To add one, the password is asked for; to use one, it is not.
    const password = document.getElementById("passkey-password")?.value;
    const asked = await post(options, password === undefined ? { csrf } : { csrf, password });
    const publicKey = kind === "create"
      ? PublicKeyCredential.parseCreationOptionsFromJSON(asked)
      : PublicKeyCredential.parseRequestOptionsFromJSON(asked);
    const credential = await navigator.credentials[kind]({ publicKey });
    const done = await post(finish, { csrf, credential: JSON.stringify(credential.toJSON()) });
    location.assign(done.go);
  } catch (error) {
    problem.textContent = error.message;
  }
});
