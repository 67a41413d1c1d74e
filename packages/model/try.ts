import { cpuDevice } from "@danu/cpu";
import * as t from "@danu/tensor";
const d = cpuDevice();
for (const [M,K,N] of [[8,24,40],[8,40,24],[51,40,64],[40,8,24]]) {
 const rnd=(n:number)=>Float32Array.from({length:n},(_, i)=>Math.sin(i*1.3+n));
 const a=rnd(M!*K!), b=rnd(N!*K!);
 const r = t.referenceDevice();
 for (const transposeA of [false,true]) for (const transposeB of [false,true]) {
 const sa=transposeA?[K!,M!]:[M!,K!], sb=transposeB?[N!,K!]:[K!,N!];
 const y=await t.matmul(t.tensor(d,a,sa),t.tensor(d,b,sb),{transposeA,transposeB}).read();
 const z=await t.matmul(t.tensor(r,a,sa),t.tensor(r,b,sb),{transposeA,transposeB}).read();
 let e=0; for(let i=0;i<z.length;i++) e=Math.max(e,Math.abs(y[i]!-z[i]!)); console.log(M,K,N,transposeA,transposeB,e);
 }
 const x=t.ones(d,[M!,K!]), w=t.ones(d,[N!,K!]), tg=t.tensor(d,new Array(M).fill(3),[M!],"i32");
 console.log(await t.tokenLosses(x,w,tg).read());
}
