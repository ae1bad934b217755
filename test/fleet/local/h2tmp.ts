import { bringUp, login, exec, collect, open, until, NEVER } from "./support.ts";
const up = await bringUp(); const client = await login(up);
const bytes=6_000_000; let bad=0;
for (let i=0;i<40;i++){ 
  const channel:any = await open(client, `yes out | head -c ${bytes} & yes err | head -c ${bytes} >&2; wait`);
  const slow=(s:any)=>{ s.pause(); setTimeout(()=>s.resume(),1); };
  channel.on("data",()=>slow(channel)); channel.stderr.on("data",()=>slow(channel.stderr));
  const r=await collect(channel); if(r.output.length!==bytes||r.errors.length!==bytes){ bad++; console.log(i, r.output.length, r.errors.length, r.code); }
}
console.log("bad",bad);
client.end(); await up.backend.terminate(up.machine,NEVER); process.exit(0);
