import { request } from 'node:http';

/** Asks the agent of a storage node. Rejects when the node does not answer, with the node's name and the cause. */
export function askAgent<Answer>(
  node: string,
  socketPath: string,
  path: string,
  question: unknown,
  timeout: number,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown) => reject(new Error(`${node} does not answer: ${String(cause)}`, { cause }));
    const post = request({ socketPath, path, method: 'POST', agent: false, timeout }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('error', failed);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(body) as Answer);
        else reject(new Error(`${node}: ${path}: ${body}`));
      });
    });
    post.on('timeout', () => post.destroy(new Error(`nothing heard for ${timeout} ms`)));
    post.on('error', failed);
    post.end(JSON.stringify(question));
  });
}
