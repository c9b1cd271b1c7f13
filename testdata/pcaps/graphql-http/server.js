// A small shop of fish over HTTP/1.1 and, on another port, HTTP/2. Documents are kept by their hashes.
const { createServer } = require("node:http");
const http2 = require("node:http2");
const { GraphQLError } = require("graphql");
const { createSchema, createYoga } = require("graphql-yoga");

const fish = [
  { name: "cod", eats: ["eel"] },
  { name: "eel", eats: [] },
  { name: "shark", eats: ["cod", "eel"] },
];

const find = (name) => fish.find((one) => one.name === name);

const schema = createSchema({
  typeDefs: `
    scalar File
    type Fish { name: String!, cm(scale: Float = 1): Float, eats: [Fish!]! }
    type Query { fish(name: String!): Fish, all: [Fish!]! }
    type Mutation { add(name: String!): Fish!, picture(of: String!, file: File!): Int! }
    type Subscription { counted(to: Int!): Int! }
  `,
  resolvers: {
    Fish: {
      cm: (one, { scale }) => {
        if (one.name === "shark") throw new GraphQLError("nobody dares", { extensions: { code: "DANGER" } });
        return one.name.length * 10 * scale;
      },
      eats: (one) => one.eats.map(find),
    },
    Query: { fish: (_, { name }) => find(name), all: () => fish },
    Mutation: {
      add: (_, { name }) => ({ name, eats: [] }),
      picture: async (_, { file }) => (await file.text()).length,
    },
    Subscription: {
      counted: {
        async *subscribe(_, { to }) {
          for (let counted = 1; counted <= to; counted++) yield { counted };
        },
      },
    },
  },
});

const known = new Map();
const persisted = {
  onParams({ params, setParams }) {
    const hash = params.extensions?.persistedQuery?.sha256Hash;
    if (!hash) return;
    if (params.query) known.set(hash, params.query);
    else if (known.has(hash)) setParams({ ...params, query: known.get(hash) });
    else throw new GraphQLError("PersistedQueryNotFound", { extensions: { code: "PERSISTED_QUERY_NOT_FOUND" } });
  },
};

const yoga = () => createYoga({ schema, batching: true, plugins: [persisted], logging: false });
createServer(yoga()).listen(18097, "127.0.0.1");
http2.createServer(yoga()).listen(18098, "127.0.0.1");
