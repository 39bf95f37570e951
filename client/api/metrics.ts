import { createServer } from 'node:http';
import { Counter, Histogram, Registry } from 'prom-client';
import { type Listening, listenAt } from '../../configuration/listen-at.ts';
import { apiMetrics, apiRequestBuckets } from '../../model/metrics.ts';

/** A request as it is counted: by the path of the call, not of the resource, so that there are as many series as calls. */
export interface CountedRequest {
  readonly method: string;
  /** `/v3/volumes/:id`; what is no call's path counts as `none`. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

/** What one process of the API has answered since it was started. */
export class ApiMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: apiMetrics.requests,
    help: 'Requests that were answered',
    labelNames: ['method', 'route', 'status'],
    registers: [this.#registry],
  });
  readonly #seconds = new Histogram({
    name: apiMetrics.requestSeconds,
    help: 'How long answers took, seconds',
    labelNames: ['method', 'route'],
    buckets: apiRequestBuckets,
    registers: [this.#registry],
  });

  count({ method, route, status, seconds }: CountedRequest): void {
    this.#requests.inc({ method, route, status });
    this.#seconds.observe({ method, route }, seconds);
  }

  /** Shows them to Prometheus at `address` (host:port), under /metrics. `InvalidInput` when the address cannot be had. */
  serve(address: string): Promise<Listening> {
    const server = createServer(async (request, response) => {
      if (request.url?.split('?')[0] !== '/metrics') return void response.writeHead(404).end();
      response.setHeader('content-type', this.#registry.contentType).end(await this.#registry.metrics());
    });
    server.requestTimeout = 5_000;
    return listenAt(server, 'metricsAddress', address);
  }
}
