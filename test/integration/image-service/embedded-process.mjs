/**
 * Serves the built embedded image service as a process of its own, for tests that kill it or measure it.
 * Arguments: directory of the built programs, directory of the images, port. Logs its URL.
 */
const [dist, directory, port] = process.argv.slice(2);
const { createImageServer, listenImageServer } = await import(`${dist}/image-service/embedded/server.js`);
const { createLogger } = await import(`${dist}/protocol/log.js`);

const log = createLogger('image-service', 'info');
const listener = await listenImageServer(createImageServer({ directory, log }), { host: '127.0.0.1', port: Number(port) });
log.info({ url: listener.url }, 'listening');
process.once('SIGTERM', () => void listener.close());
