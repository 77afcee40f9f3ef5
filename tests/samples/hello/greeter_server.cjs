const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");

const definition = protoLoader.loadSync(path.join(__dirname, "hello.proto"));
const { hello } = grpc.loadPackageDefinition(definition);

const greeter = {
  sayHello(call, callback) {
    if (!call.request.name) {
      callback({ code: grpc.status.INVALID_ARGUMENT, details: "a name is needed" });
      return;
    }
    callback(null, { message: `Hello, ${call.request.name}!` });
  },

  countDown(call) {
    let left = call.request.from;
    const timer = setInterval(() => {
      if (left > 0 && !call.cancelled) {
        call.write({ message: String(left--) });
      } else {
        clearInterval(timer);
        call.end();
      }
    }, 10);
  },

  sayHelloToAll(call, callback) {
    const names = [];
    call.on("data", (request) => names.push(request.name));
    call.on("end", () => callback(null, { message: `Hello, ${names.join(" and ")}!` }));
  },

  chat(call) {
    call.on("data", (request) => call.write({ message: `Hello, ${request.name}!` }));
    call.on("end", () => call.end());
  },
};

const asked = process.argv.indexOf("--port");
const port = asked > 0 ? process.argv[asked + 1] : "50063";
const server = new grpc.Server();
server.addService(hello.Greeter.service, greeter);
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => {
  if (error) throw error;
  console.log(`listening on ${bound}`);
});
process.on("SIGTERM", () => server.tryShutdown(() => process.exit(0)));
