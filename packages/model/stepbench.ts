import { cpuDevice } from "@danu/cpu";
import * as t from "@danu/tensor";
import { Decoder, initialize, presets, flopsPerToken } from "./src/index.ts";
import { Trainer } from "../train/src/trainer.ts";
const [name, dtype, stepsArg, threads] = process.argv.slice(2) as any;
const d = cpuDevice(threads ? {threads:Number(threads)} : {});
const config = (presets as any)[name];
const [B,T] = name === "nano" ? [8,256] : [4,512];
const dec = new Decoder(d, config, T);
const V=config.vocabularySize;
const tr = new Trainer<any, any>({ params: initialize(d, config, 1), computeDtype: dtype,
  loss: (p, b, s) => { const u=(v:ArrayLike<number>)=>t.tensor(d,v,[B,T],"i32"); return dec.loss(p,{ids:u(b.ids),positions:u(b.pos),documentStart:null},u(b.targets),s); }, tokens: () => B*T });
const ids=Int32Array.from({length:B*T},(_, i)=>(i*7919+((i*i)%101))%V);
const batch={ids, targets: Int32Array.from(ids,(_,i)=>ids[(i+1)%(B*T)]!), pos:Int32Array.from(ids,(_,i)=>i%T)};
const times:number[]=[]; const cpu:number[]=[];
for (let i=0;i<Number(stepsArg??8)+2;i++) { const s=performance.now(), c=process.cpuUsage(); const r=await tr.step([batch],1e-4); const e=performance.now()-s; if(i>=2) { times.push(e); const u=process.cpuUsage(c); cpu.push((u.user+u.system)/1e3); } if(i<2||i==9) console.error(i, r.loss.toFixed(4), r.gradientNorm.toFixed(3), e.toFixed(1)); }
times.sort((a,b)=>a-b);
const best=times[0]!, med=times[times.length>>1]!;
const peak=d.peakFlops(dtype, 200);
const fl=flopsPerToken(config,T);
console.log(JSON.stringify({name,dtype,threads:d.threads,bestTok:Math.round(B*T/best*1e3),medTok:Math.round(B*T/med*1e3),gflops:Math.round(B*T*fl/best/1e6),peak:Math.round(peak/1e9),cpuMsPerStep:Math.round(Math.min(...cpu)),gflopsPerCpuSecond:Math.round(B*T*fl/Math.min(...cpu)/1e6),peakMB:Math.round(d.memory().peak/1e6)}));
