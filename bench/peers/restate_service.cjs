// The service that Restate calls, with its TypeScript SDK; started by `restate_server.py`.

// The SDK wants node 22 or later for this one function; node 20 has everything else it uses.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
};

const restate = require("@restatedev/restate-sdk");

const steps = Number(process.env.BENCH_STEPS);

const bench = restate.service({
  name: "Bench",
  handlers: {
    run: async (ctx) => {
      let last;
      for (let number = 0; number < steps; number++) {
        last = await ctx.run(`step${number}`, () => ({ step: number, score: 0.75 }));
      }
      return last;
    },
  },
});

restate.serve({ services: [bench], port: Number(process.env.BENCH_PORT) });
