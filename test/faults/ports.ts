// Where the programs of the lab listen: what an image server and an agent take by themselves.

export const HTTP_PORT = 8080;
export const TRACKER_PORT = 6969;
export const PEER_PORT = 6881;
