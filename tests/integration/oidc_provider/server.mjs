// A certified OpenID provider for the tests. Its settings come as one line of JSON on standard input; it says `ready`.
//   port, jwks (private), people {id: claims}, inToken (claims stand in the ID token, not only at userinfo)
// Whoever types a name that exists is signed in. POST /test/people changes claims; POST /test/token lets the next answer
// of the token endpoint carry another ID token.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { resolve } = createRequire(`${process.argv[2]}/package.json`);
const { Provider } = await import(pathToFileURL(resolve('oidc-provider')));
const [line] = await new Promise((done) => createInterface({ input: process.stdin }).once('line', (text) => done([text])));
const { port, jwks, people, inToken, redirects } = JSON.parse(line);
let substitute = null;

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'segue', client_secret: 'provider-secret-of-segue', redirect_uris: redirects }],
  jwks,
  cookies: { keys: ['only for tests'] },
  claims: {
    openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'name'], groups: ['groups'],
  },
  conformIdTokenClaims: !inToken,
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => (people[id] ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined),
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid email profile groups');
    await grant.save();
    return grant;
  },
});
provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/token' && ctx.status === 200 && substitute !== null) {
    ctx.body = { ...ctx.body, id_token: substitute };
    substitute = null;
  }
});

async function bodyOf(request) {
  let text = '';
  for await (const part of request) text += part;
  return JSON.parse(text);
}

const handle = provider.callback();
createServer(async (request, response) => {
  if (request.url === '/test/people') Object.assign(people, await bodyOf(request));
  else if (request.url === '/test/token') substitute = (await bodyOf(request)).token;
  else return handle(request, response);
  return response.end();
}).listen(port, '127.0.0.1', () => process.stdout.write('ready\n'));
