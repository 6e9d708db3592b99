/** What a program that the agent starts may know of the agent's own environment: no credentials, no settings of Rollcall. */
const passed = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "TMPDIR",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
] as const;

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The environment of a started program: the passed variables, the `also` ones, and `own` above them. */
export function childEnvironment(
  own: Readonly<Record<string, string>>,
  also: readonly string[] = [],
): Record<string, string> {
  const environment: Record<string, string> = { PATH: defaultPath };
  for (const name of [...passed, ...also]) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return { ...environment, ...own };
}
