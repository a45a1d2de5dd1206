PRAGMA application_id=1128689513;
PRAGMA user_version=1;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'counterfoil','m001_initial','2026-11-22 22:41:12.046470+00:00');
CREATE TABLE borrowed(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID;
CREATE TABLE copies(source_id INTEGER NOT NULL, source_seq INTEGER NOT NULL, seq INTEGER NOT NULL,
      chain BLOB NOT NULL, before BLOB, leaf BLOB, PRIMARY KEY(source_id, source_seq)) WITHOUT ROWID;
CREATE TABLE event_payloads(seq INTEGER NOT NULL, slot INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      salt BLOB NOT NULL, PRIMARY KEY(seq, slot)) WITHOUT ROWID;
INSERT INTO "event_payloads" VALUES(1,0,1,X'E229CCD7439A642F0B6E019B712EAE6B');
INSERT INTO "event_payloads" VALUES(2,0,2,X'040D39526112F3FEF281E4B545801AFE');
INSERT INTO "event_payloads" VALUES(3,0,3,X'FA319B3A15C3B4C1DDF883ED261D03E1');
INSERT INTO "event_payloads" VALUES(4,0,4,X'308054DF41FBBDE7D382347D391829CE');
INSERT INTO "event_payloads" VALUES(4,1,5,X'87C0242AD1DDA9AF136834E6D549423C');
INSERT INTO "event_payloads" VALUES(4,2,6,X'1DD243BB9BD3787965727D226BB386AF');
INSERT INTO "event_payloads" VALUES(5,0,7,X'E119C8A29110DB6781B33414AA90DC19');
INSERT INTO "event_payloads" VALUES(5,1,8,X'78FF45DE7197C44D46EDB5EFC221AAE1');
INSERT INTO "event_payloads" VALUES(6,0,9,X'16705794AB4873B59CFEB65DB2C7023A');
INSERT INTO "event_payloads" VALUES(6,1,10,X'22F351DA3A7C317A6785AF5397FA579D');
INSERT INTO "event_payloads" VALUES(7,0,11,X'D0DABA919B755236A67EA61C8FF09266');
INSERT INTO "event_payloads" VALUES(7,1,12,X'96B59500B10EB1CD8A88F0D935DACA58');
INSERT INTO "event_payloads" VALUES(8,0,13,X'09CB9178ACE00952B23BD0007C4D43BB');
INSERT INTO "event_payloads" VALUES(9,0,14,X'3C9367C7B8649A49863FD99ABF0A3314');
INSERT INTO "event_payloads" VALUES(10,0,15,X'9A0A7DBDD8D49D551CC58BB5A9DA1DD6');
INSERT INTO "event_payloads" VALUES(11,0,16,X'C5C9BB9EAFCD6D0DB9B43A56503D448E');
INSERT INTO "event_payloads" VALUES(12,0,17,X'FADB88D2DAAF664E825DAB1123A86B25');
INSERT INTO "event_payloads" VALUES(13,0,18,X'7BD8F5FFADAB3E7BF39D7CE6EBBF7D1E');
INSERT INTO "event_payloads" VALUES(13,1,19,X'493412A96BF02FF6D9A7FE638D208538');
INSERT INTO "event_payloads" VALUES(14,0,20,X'81D55F1B2E8B60DDE6542A21F1C17F0F');
INSERT INTO "event_payloads" VALUES(16,0,21,X'42BC9BE45EA31BEFF7C2A80F80F22A3B');
INSERT INTO "event_payloads" VALUES(18,0,22,X'F0E65C7FD914D0303E5B9FDBA32AE729');
INSERT INTO "event_payloads" VALUES(19,0,23,X'F51F0E9DC74A23DB470D943BAE6DEECC');
INSERT INTO "event_payloads" VALUES(20,0,24,X'1F1BE6F6B9B295F27EE51826498789DC');
INSERT INTO "event_payloads" VALUES(21,0,25,X'DCF7FC12D51F0C11B9EDCAA98EADD84D');
INSERT INTO "event_payloads" VALUES(23,0,26,X'A2441235ECC5429E78938AD300D17D4E');
INSERT INTO "event_payloads" VALUES(24,0,27,X'4AA411B2548B93007BAF74C241CDA685');
INSERT INTO "event_payloads" VALUES(26,0,28,X'93D4D23B328FC9EE843E6CF75717920C');
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, tape_id INTEGER, offset INTEGER, head TEXT NOT NULL,
      commitments BLOB, chain BLOB NOT NULL,
      kind TEXT AS (json_extract(head, '$.k')) VIRTUAL, t_ns INTEGER AS (json_extract(head, '$.t')) VIRTUAL,
      run_id TEXT AS (json_extract(head, '$.run')) VIRTUAL, step_id TEXT AS (json_extract(head, '$.step')) VIRTUAL);
INSERT INTO "events" VALUES(1,1,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":23415,"segment":1}',X'C75492320E4E73370B9780B089C19C5E8F749E622296272196BDD35B5253A6E4',X'91895A92A78CA932E77DDCEFE2A043528440EDD11B4020A5CDB96783A41FB4B2');
INSERT INTO "events" VALUES(2,1,218,'{"k":"start","t":1700000000000000000,"q":2,"run":"00000000000000000000000000000001","step":"0000000000000001","kind":"workflow","evidence":"native","parts":["text"]}',X'B50C0446FFE339617EE19C5DF0146CFFD9249B8CC9AD7D2BD700F85930B629EB',X'BECFB7F5F2A884752BB36DB8CE19F01ECFEE96A4262FAEB46C5EEC91C3A39D60');
INSERT INTO "events" VALUES(3,1,476,'{"k":"start","t":1700000000000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000002","parent":"0000000000000001","kind":"agent","evidence":"native","parts":["text"]}',X'00B2C59658547D0A623C221D65C575849A68C550A67E8ACF9A071A13DA52CCA9',X'5707FB87A4348ED259C89AD140E84DF33876B2D3BBB3A3F526F21405D5E10F1B');
INSERT INTO "events" VALUES(4,1,755,'{"k":"start","t":1700000000000000002,"q":4,"run":"00000000000000000000000000000001","step":"0000000000000003","parent":"0000000000000002","kind":"llm","evidence":"native","parts":["text","m1","m2"],"refs":[1,2]}',X'0A1315CF6A651C124E88F0B7F32D8CC9AEB9D390FDA920B22C1B2B338BDE0359B8E7A352C5504767BD597718868D881ED2534C42DB83F9A3B20F50A7B94E9115437E1F1E3465536A24A915E3C9BAE9CA4BC892C3E1A17292747D3505C89DAA07',X'C159D20E582F3FB6092D49CEA73624E9B247FF245638E205E7C3AC333EC85E98');
INSERT INTO "events" VALUES(5,1,1149,'{"k":"end","t":1700000000000000003,"q":5,"run":"00000000000000000000000000000001","step":"0000000000000003","status":"ok","parts":["text","m3"],"refs":[3],"input_tokens":90,"output_tokens":9,"cost_nano":1000}',X'987CAAC7A8AD61E1C39CDCA5F00ECCF4D9F36ED573E5849CD7F120E533C2875DDEB09A7E23CBF4DC11DB6C3040A7106D3B4B4BF497FDBA074C742D3382396DA0',X'CCE372B140A19B6B011BA89A02386AAEB49DA3220A095EC629CBB569C38B89DB');
INSERT INTO "events" VALUES(6,1,1493,'{"k":"start","t":1700000000000000004,"q":6,"run":"00000000000000000000000000000001","step":"0000000000000004","parent":"0000000000000002","kind":"tool","evidence":"native","parts":["text","input"],"decided":"0000000000000003"}',X'B2C569EE208A9AB9952E592FC1F7099A1ECF850504A83A93D5900EEC58F8C73DEFE83C2C65C1D3DCF1AD65A9E779F89B424CA282CB3EEB5D26C8C491224DF79F',X'7EDAF7E4A0BA4DDB78C8BD86934A86A96FFA78B48308E3A911A0E99705986DB0');
INSERT INTO "events" VALUES(7,1,1786,'{"k":"access","t":1700000000000000005,"q":7,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text","items"]}',X'1D4FD86BE83FE0782E4EE569F1B38BD81C0750DCCAAAB285B4E08990D7A71FE38D0F5DAADFCC863E17A4C516729A571EBC83A327C48A55EE4C3A70C52CA47E4D',X'58C49FD1CFE19024FB36DD372B518742792D236FB2FB84016A24CB0865BAD531');
INSERT INTO "events" VALUES(8,1,1988,'{"k":"end","t":1700000000000000006,"q":8,"run":"00000000000000000000000000000001","step":"0000000000000004","status":"error","parts":["text"]}',X'47DA440186F75F77954974A187DC0F90F45940ABEF3BEA66E895DD3175C662C6',X'C5084799C6B2E65096D6E1AB7A391073EE32B94C2EC91957CE660E384ECB2B95');
INSERT INTO "events" VALUES(9,1,2192,'{"k":"decision","t":1700000000000000007,"q":9,"run":"00000000000000000000000000000001","step":"0000000000000004","parts":["text"],"item":"dddddddddddddddd","verdict":"allow"}',X'E05B76EE425887414F0E711A1C51B9F385FFA1ABD49DD330AB005FDBCFD15785',X'F229FF37004A348A42DE98C6A5EDF2716E1B9DE9C62675F56B66BB64476E53A4');
INSERT INTO "events" VALUES(10,1,2401,'{"k":"handoff","t":1700000000000000008,"q":10,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"requested","evidence":"native","parts":["text"],"handoff":"eeeeeeeeeeeeeeee","mode":"transfer","target_type":"agent"}',X'17FEA65793F4FD69FB0E426A873B06E1F10245337AB2ADAA9719AEC0B2851C18',X'C9907C7F116CAE5A9389F682E2E65DA8264E0BD48E452B323E4B36AE6B0F1B86');
INSERT INTO "events" VALUES(11,1,2706,'{"k":"score","t":1700000000000000009,"q":11,"run":"00000000000000000000000000000001","parts":["text"],"value":0.9}',X'130AACE05635BB9089C22D26F1425B15E171F61876286404A73EB047E249CF18',X'4F3D987AB21BB0E0A31BCC74805B519CAB9F6080E57ABB51242A3E2D2F02AB38');
INSERT INTO "events" VALUES(12,1,2840,'{"k":"start","t":1700000000000000010,"q":12,"run":"00000000000000000000000000000001","step":"0000000000000005","parent":"0000000000000001","kind":"human","evidence":"native","parts":["text"]}',X'E48E617AF86872A4171644CBC6AD46B7B62AB3C271496A16B93FD02ECAC07D82',X'E50655EB442F8F12F154AB7A5F67135B9D4F29432DA7F1485AC9C50D80447C6E');
INSERT INTO "events" VALUES(13,1,3089,'{"k":"approval","t":1700000000000000011,"q":13,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"waiting","parts":["text","payload"],"item":"ffffffffffffffff"}',X'448F4C73CC53C6A7ABA2FFC20CEF80D33F3DE488C2F0551ED81E0403DB2342C5851BAA6EEE67D8C362D01321C4A8CFDD2AE98BB6CE9FDDF82A84AFD351B589B1',X'4FE0E230D0FE50F119E442CECD7952F2F98A9B1A632A7C4123C3855874AC569E');
INSERT INTO "events" VALUES(14,1,3307,'{"k":"end","t":1700000000000000012,"q":14,"run":"00000000000000000000000000000001","step":"0000000000000002","status":"ok","parts":["output"]}',X'35C7B3655867B36FEAF3E1E20CC325E020185645E5129EBFD5E2A0C58D63E9CC',X'C87F663A599129F549C88C3B9C105619E4FA0D91AFF0AE7E641715F069BE3FEB');
INSERT INTO "events" VALUES(15,1,3463,'{"k":"end","t":1700000000000000013,"q":15,"run":"00000000000000000000000000000001","step":"0000000000000001","status":"waiting"}',NULL,X'83146C9EFB9F3CEE4EC69FB66F70AA46A86DD8A2B4E91EC32D087019ACFC84FB');
INSERT INTO "events" VALUES(16,1,3592,'{"k":"trouble","t":1700000000000000014,"q":16,"parts":["text"],"count":2}',X'BEB0C47B645E433BA59E3E5DC171A0FE9AC3A10CB002BA4A66FB3A04D8518204',X'B800B81AA9B1C986559ADFE23E2F989D7629C9873C7570FB7AE581F585E3B079');
INSERT INTO "events" VALUES(17,1,3740,'{"k":"exit","t":1700000000000000015,"q":17}',NULL,X'63507A990082D59DEE452D3EE874317087DA38DBC41995E4CA20610E5D6B15E8');
INSERT INTO "events" VALUES(18,2,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":23415,"segment":1}',X'311192A2E5CBD7C54EB921A7E19BB7B27960111BA930B7567E3645837B427597',X'0E99D70FB8D44BD0395EA7F40469A74CDC1D5F3F3551590D4BFDE484B52377F7');
INSERT INTO "events" VALUES(19,2,218,'{"k":"start","t":1700000001000000000,"q":2,"run":"00000000000000000000000000000002","step":"0000000000000006","kind":"workflow","evidence":"native","parts":["text"],"resuming":true}',X'CF899FE88C8CB36BA6C390ED3585DC00243C377E3A6134B890EF79047FA7A416',X'DDDA145BA7577E68387295C9565678F98FF883B9D3E2FF78C2FBD087CDDA7E32');
INSERT INTO "events" VALUES(20,2,451,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002","parts":["answer"]}',X'4EC43903A43BCCEB376EDAF3508A67D5B9537B7B05A9E76C1EFE807261CEDB64',X'BDF8F14B702724BDE57FACFDC79AFA6E5E489F405677B0DBA64AF08C3D05D706');
INSERT INTO "events" VALUES(21,2,604,'{"k":"end","t":1700000001000000002,"q":4,"run":"00000000000000000000000000000002","step":"0000000000000006","status":"ok","parts":["output"]}',X'11CE534DAC6E5058B36E9ACD6CF8CDDCB0613361A46D4236260AA121C124E067',X'9A7F3EBB589E5AA49B83734A0A6246E6043B9558374032F1451353690ABFA4DA');
INSERT INTO "events" VALUES(22,2,757,'{"k":"exit","t":1700000001000000003,"q":5}',NULL,X'6EC4FDCBAAE4B73D2C81188250360056FEE208216A0DC1EA2E1D9C2B80BFC001');
INSERT INTO "events" VALUES(23,3,0,'{"k":"open","t":1700000000000000000,"q":1,"parts":["text"],"format":1,"pid":23415,"segment":1}',X'C406685C2DF3C79183E73A977DE73A3F8ACEA2D2C956B0533EE3263A7CC4ECBE',X'2862FD261D43A13824740BC7E3C69A12183818B57A3EFFD2EC4989E444573F16');
INSERT INTO "events" VALUES(24,3,218,'{"k":"start","t":1700000002000000000,"q":2,"run":"00000000000000000000000000000003","step":"0000000000000007","kind":"agent","evidence":"native","parts":["text"]}',X'6B5DD8A044DDD7BCD3E9F36FD0BE87F52BD10073541F9C51B9D84D0754103D1E',X'FA3A05DD16ABFA605F95CC7835B6146D2BC41D8A14F4E684787C940DAB3B668E');
INSERT INTO "events" VALUES(25,NULL,NULL,'{"k":"resume","t":1700000001000000000,"q":0,"run":"00000000000000000000000000000002","resumes":"00000000000000000000000000000001","first_run":"00000000000000000000000000000001"}',NULL,X'8BFF7DD28C6ED4DAA690BE85AB454D2303C2812458B7B874A06D12802766C2F5');
INSERT INTO "events" VALUES(26,NULL,NULL,'{"k":"end","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"ok","parts":["output"]}',X'FC683E85CB4BA3D027C1BFF0143C053B0BB68672E336EB43405BDD8A0F25A545',X'785EE6E36B8B6A52A2E0374E94C3DD0721E97D51D25E5876C6231A3B0B8505B2');
INSERT INTO "events" VALUES(27,NULL,NULL,'{"k":"approval","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000001","step":"0000000000000005","status":"approved","item":"ffffffffffffffff"}',NULL,X'897B74F4113AC2AFF5B1C945459CCE11CE8606003F140FDF74E3420DFD07B75F');
INSERT INTO "events" VALUES(28,NULL,NULL,'{"k":"answer","t":1700000001000000001,"q":3,"run":"00000000000000000000000000000002"}',NULL,X'9AD35807AD38F1ABD92EFB54AB76982E0D31323287BD86D3337E162099D04A44');
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('store_id','e5059a9f5a36307a4725e378d6371752');
INSERT INTO "meta" VALUES('store_key',X'E1FFA1E589FABB631A2C01D501D5D71B39D859DB5035CB35AEECFFD70868778C');
CREATE TABLE payloads(payload_id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, body TEXT NOT NULL);
INSERT INTO "payloads" VALUES(1,X'C2907431A516D0D9974E47BB9E02B9BC','{"writer":"0000000000000001-23415-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(2,X'F9A4EE8C0DAC02268042A78C41E8649F','{"name":"desk","framework":"python","task":"refund","session":"s","labels":{"tier":"gold"}}');
INSERT INTO "payloads" VALUES(3,X'4927255EB6F14A37F5A885714C495203','{"name":"triage","agent":"triage","framework":"python","version":"2","owner":"support"}');
INSERT INTO "payloads" VALUES(4,X'302A5AEB387D76833D178CCE6B5F49AE','{"name":"chat","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(5,X'B845FFEAC01B6824C96955EDE9C6FDA3','{"role":"system","parts":[{"type":"text","content":"Be brief."}]}');
INSERT INTO "payloads" VALUES(6,X'32AF902D11B1EABBBEE4B631750B8F12','{"role":"user","parts":[{"type":"text","content":"Refund?"}]}');
INSERT INTO "payloads" VALUES(7,X'13705E6471353F31D3E47D9F1D7E594B','{"provider":"openai","model":"gpt-4.1-mini","price_source":"the test"}');
INSERT INTO "payloads" VALUES(8,X'2A547786DD73432E9287320D0FFAE9AE','{"role":"assistant","parts":[{"type":"text","content":"Yes."}]}');
INSERT INTO "payloads" VALUES(9,X'7D1CB4FBDF6A00D0A12D2F9E5917682A','{"name":"look_up","agent":"triage","framework":"python"}');
INSERT INTO "payloads" VALUES(10,X'08A0C205D661A4F087E3E934140B8194','{"id":7}');
INSERT INTO "payloads" VALUES(11,X'267EBFEC5E3D6BF39D66622962BFE0B3','{"source":"kb","query":"refunds"}');
INSERT INTO "payloads" VALUES(12,X'3D1EB40CE4F3D68F315F45032C8A9035','[{"item_id":"d1","score":0.5}]');
INSERT INTO "payloads" VALUES(13,X'512597483EC1A0E1A6B22650B8B85475','{"error_type":"LookupError","error_message":"no customer 7"}');
INSERT INTO "payloads" VALUES(14,X'0CD270C068A4A2767BC6FD2C55753580','{"action":"look_up","rule":"all"}');
INSERT INTO "payloads" VALUES(15,X'3B64F99D8DCCA54B582B2A5CD975D08C','{"source":"triage","target":"billing","reason":"charged twice"}');
INSERT INTO "payloads" VALUES(16,X'0820FE75A02E9E12A8DC30D977A12589','{"name":"helpful"}');
INSERT INTO "payloads" VALUES(17,X'7AD2597259AA5D0DCF1300F7CF2027BA','{"name":"approve","framework":"python","native_id":"q1"}');
INSERT INTO "payloads" VALUES(18,X'CA6A2E8CAB05C24A5128FEEEB38AD4B1','{"name":"refund"}');
INSERT INTO "payloads" VALUES(19,X'650B471CF0E42A22D3AAF530936730D1','{"amount":5}');
INSERT INTO "payloads" VALUES(20,X'F4E76E16D8FB7095B175FA4FFB60DCC5','"to billing"');
INSERT INTO "payloads" VALUES(21,X'29B2BD70C38C88CC02EEFB1F0BA4E629','{"error_type":"ValueError","error_message":"our own","place":"somewhere"}');
INSERT INTO "payloads" VALUES(22,X'F1E01288B53D8A66639EFEAF07610C66','{"writer":"0000000000000002-23415-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(23,X'708954AE0A11D6293E56F86D97D82A29','{"name":"desk","framework":"python","session":"s"}');
INSERT INTO "payloads" VALUES(24,X'3F5EC7F534A4276077E232D6F94778F9','[{"id":"q1","value":"yes","status":"approved"}]');
INSERT INTO "payloads" VALUES(25,X'CEC86E67426628656EADF00ECAAEA38F','"refunded"');
INSERT INTO "payloads" VALUES(26,X'D5F8CC20D9B644BA33ED98BB6A40CD0D','{"writer":"0000000000000003-23415-abcdef","host":"there","boot":"then","machine":"that","versions":{"counterfoil":"test"}}');
INSERT INTO "payloads" VALUES(27,X'0FB861A84C1EE1E2797DA9190C5B48EF','{"name":"doomed","agent":"doomed","framework":"python"}');
INSERT INTO "payloads" VALUES(28,X'0E2F8CA2816A15DB8C070EF1E09D9B04','"yes"');
CREATE TABLE quarantine(tape_id INTEGER NOT NULL, offset INTEGER NOT NULL, at_ns INTEGER, reason TEXT, raw BLOB);
INSERT INTO "quarantine" VALUES(3,437,1795387272064360546,'the head is no event: JSON is malformed: invalid character (byte 4)',X'6E6F206576656E74');
CREATE TABLE refs(writer_id INTEGER NOT NULL, n INTEGER NOT NULL, payload_id INTEGER NOT NULL,
      PRIMARY KEY(writer_id, n)) WITHOUT ROWID;
INSERT INTO "refs" VALUES(1,1,5);
INSERT INTO "refs" VALUES(1,2,6);
INSERT INTO "refs" VALUES(1,3,8);
CREATE TABLE sources(source_id INTEGER PRIMARY KEY, store TEXT NOT NULL);
CREATE TABLE t_accesses(seq INTEGER NOT NULL, n INTEGER NOT NULL, run_id TEXT, step_id TEXT, agent TEXT,
      source TEXT, query TEXT, query_id INTEGER, item_id TEXT, score REAL, bytes INTEGER, at_ns INTEGER,
      PRIMARY KEY(seq, n)) WITHOUT ROWID;
INSERT INTO "t_accesses" VALUES(7,0,'00000000000000000000000000000001','0000000000000004',NULL,'kb','refunds',NULL,'d1',0.5,NULL,1700000000000000005);
CREATE TABLE t_answers(run_id TEXT NOT NULL, at_ns INTEGER NOT NULL, q INTEGER NOT NULL, payload_id INTEGER,
      applied INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(run_id, at_ns, q)) WITHOUT ROWID;
INSERT INTO "t_answers" VALUES('00000000000000000000000000000002',1700000001000000001,3,24,1);
CREATE TABLE t_approvals(approval_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, agent TEXT, tool TEXT,
      arguments_id INTEGER, status TEXT, asked_ns INTEGER, answered_ns INTEGER, answered_by TEXT, comment TEXT,
      stamps TEXT);
INSERT INTO "t_approvals" VALUES('ffffffffffffffff','00000000000000000000000000000001','0000000000000005',NULL,'refund',19,'approved',1700000000000000011,1700000001000000001,NULL,NULL,'{"answered_ns":[1700000001000000001,3],"arguments_id":[1700000000000000011,13],"run_id":[1700000001000000001,3],"status":[1700000001000000001,3],"step_id":[1700000001000000001,3],"tool":[1700000000000000011,13]}');
CREATE TABLE t_decisions(decision_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, call_id TEXT, agent TEXT,
      action TEXT, resource TEXT, verdict TEXT, rule TEXT, reason TEXT, policy TEXT, policy_version TEXT,
      enforced INTEGER, at_ns INTEGER);
INSERT INTO "t_decisions" VALUES('dddddddddddddddd','00000000000000000000000000000001','0000000000000004',NULL,NULL,'look_up',NULL,'allow','all',NULL,NULL,NULL,NULL,1700000000000000007);
CREATE TABLE t_findings(finding_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, detector TEXT, severity TEXT,
      summary TEXT, cost_nano INTEGER, at_ns INTEGER);
CREATE TABLE t_handoffs(handoff_id TEXT PRIMARY KEY, run_id TEXT, step_id TEXT, mode TEXT, source TEXT,
      target TEXT, target_asked TEXT, target_type TEXT, coordinator TEXT, reason TEXT, payload_id INTEGER,
      answer_id INTEGER, status TEXT, refused_by TEXT, error_message TEXT, evidence TEXT, decided_by TEXT,
      decided_evidence TEXT, target_step_id TEXT, framework TEXT, asked_ns INTEGER, requested_ns INTEGER,
      accepted_ns INTEGER, returned_ns INTEGER, stamps TEXT);
INSERT INTO "t_handoffs" VALUES('eeeeeeeeeeeeeeee','00000000000000000000000000000001','0000000000000002','transfer','triage','billing',NULL,'agent',NULL,'charged twice',NULL,NULL,'requested',NULL,NULL,'native',NULL,NULL,NULL,NULL,1700000000000000008,1700000000000000008,NULL,NULL,'{"evidence":[1700000000000000008,10],"mode":[1700000000000000008,10],"reason":[1700000000000000008,10],"run_id":[1700000000000000008,10],"source":[1700000000000000008,10],"status":[1700000000000000008,10],"step_id":[1700000000000000008,10],"target":[1700000000000000008,10],"target_type":[1700000000000000008,10]}');
CREATE TABLE t_messages(step_id TEXT NOT NULL, direction INTEGER NOT NULL, position INTEGER NOT NULL,
      payload_id INTEGER, PRIMARY KEY(step_id, direction, position)) WITHOUT ROWID;
INSERT INTO "t_messages" VALUES('0000000000000003',0,0,5);
INSERT INTO "t_messages" VALUES('0000000000000003',0,1,6);
INSERT INTO "t_messages" VALUES('0000000000000003',1,0,8);
CREATE TABLE t_processes(writer_id INTEGER PRIMARY KEY, pid INTEGER, host TEXT, boot TEXT, machine TEXT,
      versions TEXT, frameworks TEXT, started_ns INTEGER, last_ns INTEGER, exit_ns INTEGER, gone_ns INTEGER);
INSERT INTO "t_processes" VALUES(1,23415,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000000000000015,1700000000000000015,NULL);
INSERT INTO "t_processes" VALUES(2,23415,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000001000000003,1700000001000000003,NULL);
INSERT INTO "t_processes" VALUES(3,23415,'there','then','that','{"counterfoil":"test"}',NULL,1700000000000000000,1700000002000000000,NULL,NULL);
CREATE TABLE t_runs(run_id TEXT PRIMARY KEY, root_id TEXT, root_ns INTEGER, started_ns INTEGER, resumes TEXT,
      first_run_id TEXT, steps INTEGER, open_steps INTEGER, waiting INTEGER, llm_calls INTEGER, tool_calls INTEGER,
      errors INTEGER, input_tokens INTEGER, input_known INTEGER, output_tokens INTEGER, output_known INTEGER,
      cost_nano INTEGER, priced_calls INTEGER, unpriced_calls INTEGER, unknown_usage_calls INTEGER,
      human_wait_ns INTEGER, handoffs INTEGER, escalations INTEGER, agents TEXT, frameworks TEXT,
      unlinked INTEGER);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000001','0000000000000001',1700000000000000000,1700000000000000000,NULL,'00000000000000000000000000000001',5,0,0,1,1,1,90,1,9,1,1000,1,0,0,999999991,1,0,'{"triage":3}','{"python":5}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000003','0000000000000007',1700000002000000000,1700000002000000000,NULL,'00000000000000000000000000000003',1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'{"doomed":1}','{"python":1}',NULL);
INSERT INTO "t_runs" VALUES('00000000000000000000000000000002','0000000000000006',1700000001000000000,1700000001000000000,'00000000000000000000000000000001','00000000000000000000000000000001',1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,NULL,'{"python":1}',NULL);
CREATE TABLE t_scores(seq INTEGER PRIMARY KEY, run_id TEXT, step_id TEXT, name TEXT, value REAL, label TEXT,
      source TEXT, comment TEXT, at_ns INTEGER);
INSERT INTO "t_scores" VALUES(11,'00000000000000000000000000000001',NULL,'helpful',0.9,NULL,NULL,NULL,1700000000000000009);
CREATE TABLE t_steps(step_id TEXT PRIMARY KEY, run_id TEXT, parent_id TEXT, kind TEXT, name TEXT, agent TEXT,
      framework TEXT, status TEXT, evidence TEXT, internal INTEGER, started_ns INTEGER, q INTEGER, writer_id INTEGER,
      ended_ns INTEGER, end_rank INTEGER, native_id TEXT, call_id TEXT, decided_by TEXT, decided_evidence TEXT,
      task TEXT, session TEXT, labels TEXT, version TEXT, owner TEXT, resuming INTEGER, questions TEXT, stop_reason TEXT,
      input_id INTEGER, output_id INTEGER, usage_id INTEGER,
      in_base TEXT, in_base_output INTEGER, in_keep INTEGER, in_count INTEGER,
      out_base TEXT, out_base_output INTEGER, out_keep INTEGER, out_count INTEGER, offers TEXT,
      provider TEXT, model TEXT, request_model TEXT, response_id TEXT, finish_reason TEXT, usage_source TEXT,
      cached INTEGER, ttft_ns INTEGER, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER,
      cache_write_tokens INTEGER, reasoning_tokens INTEGER, audio_tokens INTEGER, cost_nano INTEGER, price_source TEXT,
      folded_into TEXT, error_type TEXT, error_message TEXT, stamps TEXT);
INSERT INTO "t_steps" VALUES('0000000000000003','00000000000000000000000000000001','0000000000000002','llm','chat','triage','python','ok','native',NULL,1700000000000000002,4,1,1700000000000000003,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,2,NULL,NULL,0,1,NULL,'openai','gpt-4.1-mini',NULL,NULL,NULL,NULL,NULL,NULL,90,9,NULL,NULL,NULL,NULL,1000,'the test',NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000001','00000000000000000000000000000001',NULL,'workflow','desk',NULL,'python','waiting','native',NULL,1700000000000000000,2,1,1700000000000000013,3,NULL,NULL,NULL,NULL,'refund','s','{"tier":"gold"}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000002','00000000000000000000000000000001','0000000000000001','agent','triage','triage','python','ok','native',NULL,1700000000000000001,3,1,1700000000000000012,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2','support',NULL,NULL,NULL,NULL,20,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000004','00000000000000000000000000000001','0000000000000002','tool','look_up','triage','python','error','native',NULL,1700000000000000004,6,1,1700000000000000006,3,NULL,NULL,'0000000000000003',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,10,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'LookupError','no customer 7',NULL);
INSERT INTO "t_steps" VALUES('0000000000000005','00000000000000000000000000000001','0000000000000001','human','approve',NULL,'python','ok','native',NULL,1700000000000000010,12,1,1700000001000000001,3,'q1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,28,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000006','00000000000000000000000000000002',NULL,'workflow','desk',NULL,'python','ok','native',NULL,1700000001000000000,2,2,1700000001000000002,3,NULL,NULL,NULL,NULL,NULL,'s',NULL,NULL,NULL,1,NULL,NULL,NULL,25,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "t_steps" VALUES('0000000000000007','00000000000000000000000000000003',NULL,'agent','doomed','doomed','python','running','native',NULL,1700000002000000000,2,3,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE t_troubles(writer_id INTEGER NOT NULL, place TEXT NOT NULL, count INTEGER, error_type TEXT,
      error_message TEXT, at_ns INTEGER, PRIMARY KEY(writer_id, place)) WITHOUT ROWID;
INSERT INTO "t_troubles" VALUES(1,'somewhere',2,'ValueError','our own',1700000000000000014);
CREATE TABLE tapes(tape_id INTEGER PRIMARY KEY, writer_id INTEGER NOT NULL, segment INTEGER NOT NULL,
      offset INTEGER NOT NULL DEFAULT 0, UNIQUE(writer_id, segment));
INSERT INTO "tapes" VALUES(1,1,1,3784);
INSERT INTO "tapes" VALUES(2,2,1,800);
INSERT INTO "tapes" VALUES(3,3,1,446);
CREATE TABLE writers(writer_id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE);
INSERT INTO "writers" VALUES(1,'0000000000000001-23415-abcdef');
INSERT INTO "writers" VALUES(2,'0000000000000002-23415-abcdef');
INSERT INTO "writers" VALUES(3,'0000000000000003-23415-abcdef');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE UNIQUE INDEX events_once ON events(tape_id, offset) WHERE tape_id IS NOT NULL;
CREATE INDEX events_made ON events(t_ns) WHERE tape_id IS NULL;
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
      BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
      BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE INDEX copies_seq ON copies(seq);
CREATE INDEX t_runs_started ON t_runs(started_ns);
CREATE INDEX t_runs_unlinked ON t_runs(started_ns) WHERE unlinked = 1;
CREATE INDEX t_runs_first ON t_runs(first_run_id) WHERE first_run_id <> run_id;
CREATE INDEX t_steps_run ON t_steps(run_id);
CREATE INDEX t_steps_agent ON t_steps(agent, framework) WHERE agent IS NOT NULL;
CREATE INDEX t_steps_session ON t_steps(session) WHERE session IS NOT NULL;
CREATE INDEX t_steps_asked ON t_steps(native_id) WHERE kind = 'human' AND end_rank = 0
      AND native_id IS NOT NULL;
CREATE INDEX t_steps_open ON t_steps(writer_id) WHERE end_rank = 0;
CREATE INDEX t_steps_response ON t_steps(response_id) WHERE response_id IS NOT NULL;
CREATE INDEX t_steps_unpriced ON t_steps(provider, model) WHERE cost_nano IS NULL AND input_tokens IS NOT NULL
      AND cached IS NOT 1;
CREATE INDEX t_handoffs_run ON t_handoffs(run_id);
CREATE INDEX t_accesses_run ON t_accesses(run_id);
CREATE INDEX t_decisions_run ON t_decisions(run_id);
CREATE INDEX t_approvals_run ON t_approvals(run_id);
CREATE INDEX t_scores_run ON t_scores(run_id);
CREATE INDEX t_answers_open ON t_answers(run_id) WHERE applied = 0;
CREATE VIEW runs AS 
  SELECT r.run_id, s.name, s.task, s.session AS session_id, CASE WHEN r.waiting > 0 AND coalesce(s.status, 'running') NOT IN
      ('error', 'cancelled', 'interrupted', 'denied') THEN 'waiting'
    WHEN s.status = 'waiting' AND NOT (r.resumes IS NOT NULL AND EXISTS (SELECT 1 FROM t_runs asked
      WHERE asked.waiting > 0 AND asked.started_ns < r.started_ns AND (asked.run_id = r.first_run_id
        OR (asked.first_run_id = r.first_run_id AND asked.first_run_id <> asked.run_id)))) THEN 'ok'
    ELSE coalesce(s.status, 'running') END AS status, s.stop_reason, r.resumes,
    r.first_run_id,
    (SELECT json_group_array(key) FROM json_each(r.frameworks)) AS frameworks,
    strftime('%Y-%m-%dT%H:%M:%S', r.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', r.started_ns / 1000 % 1000000) AS started_at, r.started_ns AS started_ns, strftime('%Y-%m-%dT%H:%M:%S', s.ended_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.ended_ns / 1000 % 1000000) AS ended_at, s.ended_ns AS ended_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    r.human_wait_ns / 1e6 AS human_wait_ms, r.human_wait_ns,
    r.steps, (SELECT count(*) FROM json_each(r.agents)) AS agents, r.llm_calls, r.tool_calls, r.handoffs,
    r.escalations, r.errors,
    iif(r.input_known, r.input_tokens, NULL) AS input_tokens,
    iif(r.output_known, r.output_tokens, NULL) AS output_tokens,
    iif(r.priced_calls, r.cost_nano / 1e9, NULL) AS cost_usd, iif(r.priced_calls, r.cost_nano, NULL) AS cost_nano,
    r.unpriced_calls, r.unknown_usage_calls, s.labels, CASE WHEN s.in_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.input_id)
      WHEN s.kind = 'llm' AND s.input_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.input_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS input, CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS output,
    r.waiting, r.open_steps, s.framework, s.agent, s.kind AS root_kind, r.root_id AS root_step_id,
    (SELECT json_group_array(key) FROM json_each(r.agents)) AS agent_names
  FROM t_runs r LEFT JOIN t_steps s ON s.step_id = r.root_id;
CREATE VIEW steps AS 
  SELECT s.step_id, s.run_id, s.parent_id, s.kind, s.name, s.agent, s.framework, s.status, s.evidence,
    strftime('%Y-%m-%dT%H:%M:%S', s.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.started_ns / 1000 % 1000000) AS started_at, s.started_ns AS started_ns, strftime('%Y-%m-%dT%H:%M:%S', s.ended_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.ended_ns / 1000 % 1000000) AS ended_at, s.ended_ns AS ended_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    iif(s.folded_into IS NULL, s.input_tokens, NULL) AS input_tokens, iif(s.folded_into IS NULL, s.output_tokens, NULL) AS output_tokens,
    CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END / 1e9 AS cost_usd, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END AS cost_nano, CASE WHEN s.in_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.input_id)
      WHEN s.kind = 'llm' AND s.input_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.input_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS input, CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS output,
    s.error_type, s.error_message, s.native_id, w.writer AS process_id, s.q AS process_seq, s.call_id, s.stop_reason,
    s.decided_by, s.decided_evidence, coalesce(s.internal, 0) AS internal, s.version, s.owner, s.folded_into
  FROM t_steps s LEFT JOIN writers w USING (writer_id);
CREATE VIEW llm_calls AS 
  SELECT s.step_id, s.run_id, s.agent, s.framework, s.provider, s.model, s.request_model, s.response_id,
    strftime('%Y-%m-%dT%H:%M:%S', s.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.started_ns / 1000 % 1000000) AS started_at, s.started_ns AS started_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    s.ttft_ns / 1e6 AS ttft_ms, s.ttft_ns,
    s.input_tokens, s.output_tokens, s.cache_read_tokens, s.cache_write_tokens, s.reasoning_tokens, s.audio_tokens,
    s.usage_source, coalesce(s.cached, 0) AS cached, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END / 1e9 AS cost_usd, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END AS cost_nano, s.price_source,
    s.finish_reason, s.status, s.error_type, s.error_message, s.name, s.evidence, (SELECT body FROM payloads WHERE payload_id = s.usage_id) AS raw_usage,
    (SELECT '[' || group_concat(coalesce(p.body, 'null'), ',') || ']' FROM json_each(s.offers) o
      LEFT JOIN payloads p ON p.payload_id = o.value) AS tools
  FROM t_steps s WHERE s.kind = 'llm' AND s.folded_into IS NULL;
CREATE VIEW tool_calls AS 
  SELECT s.step_id, s.run_id, s.agent, s.framework, s.name AS tool, s.call_id, strftime('%Y-%m-%dT%H:%M:%S', s.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', s.started_ns / 1000 % 1000000) AS started_at, s.started_ns AS started_ns,
    (s.ended_ns - s.started_ns) / 1e6 AS duration_ms, s.ended_ns - s.started_ns AS duration_ns,
    CASE WHEN s.in_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.input_id)
      WHEN s.kind = 'llm' AND s.input_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.input_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 0, s.in_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS arguments, CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END AS result, s.status, s.error_type, s.error_message,
    CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END / 1e9 AS cost_usd, CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END AS cost_nano, s.decided_by, s.decided_evidence, s.evidence
  FROM t_steps s WHERE s.kind = 'tool' AND s.status <> 'waiting';
CREATE VIEW messages AS 
  SELECT s.run_id, m.step_id, iif(m.direction, 'output', 'input') AS direction,
    m.position + iif(m.direction AND s.kind = 'llm', coalesce(s.in_count, 0), 0) AS position,
    iif(json_valid(p.body), json_extract(p.body, '$.role'), NULL) AS role,
    iif(json_valid(p.body), (SELECT group_concat(json_extract(value, '$.content'), char(10))
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'text'), p.body) AS content,
    iif(json_valid(p.body), (SELECT nullif(json_group_array(json(value)), '[]')
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'tool_call'), NULL) AS tool_calls,
    iif(json_valid(p.body), (SELECT json_extract(value, '$.id')
      FROM json_each(p.body, '$.parts') WHERE json_extract(value, '$.type') = 'tool_call_response' LIMIT 1), NULL)
      AS call_id,
    p.body AS message
  FROM t_messages m JOIN t_steps s USING (step_id) LEFT JOIN payloads p USING (payload_id);
CREATE VIEW handoffs AS 
  SELECT h.handoff_id, h.run_id, h.step_id, h.mode, h.source, h.target, h.target_asked, h.target_type, h.coordinator,
    h.reason, (SELECT body FROM payloads WHERE payload_id = h.payload_id) AS payload, CASE WHEN h.answer_id IS NOT NULL THEN (SELECT body FROM payloads WHERE payload_id = h.answer_id) WHEN h.status = 'returned' THEN
      (SELECT CASE WHEN s.out_count IS NULL THEN (SELECT body FROM payloads WHERE payload_id = s.output_id)
      WHEN s.kind = 'llm' AND s.output_id IS NULL THEN (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position))
      ELSE (SELECT CASE WHEN coalesce(body, '{}') IN ('{}', 'null') THEN '{"messages":' || list || '}'
        WHEN substr(body, 1, 1) = '{' THEN substr(body, 1, length(body) - 1) || ',"messages":' || list || '}'
        ELSE '{"value":' || body || ',"messages":' || list || '}' END
        FROM (SELECT (SELECT body FROM payloads WHERE payload_id = s.output_id) AS body, (WITH RECURSIVE link(step_id, direction, upto) AS (
        SELECT s.step_id, 1, s.out_count
        UNION
        SELECT iif(l.direction, b.out_base, b.in_base),
          coalesce(iif(l.direction, b.out_base_output, b.in_base_output), 0),
          min(l.upto, iif(l.direction, b.out_keep, b.in_keep))
        FROM link l JOIN t_steps b ON b.step_id = l.step_id
        WHERE iif(l.direction, b.out_base, b.in_base) IS NOT NULL AND iif(l.direction, b.out_keep, b.in_keep) > 0)
      SELECT '[' || coalesce(group_concat(body, ','), '') || ']' FROM (
        SELECT coalesce(p.body, 'null') AS body FROM (
          SELECT m.position, m.payload_id FROM link l
          JOIN t_messages m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          UNION ALL
          SELECT m.position, m.payload_id FROM link l
          JOIN borrowed m ON m.step_id = l.step_id AND m.direction = l.direction AND m.position < l.upto
          WHERE NOT EXISTS (SELECT 1 FROM t_steps WHERE step_id = l.step_id)) m
        LEFT JOIN payloads p ON p.payload_id = m.payload_id ORDER BY m.position)) AS list)) END FROM t_steps s WHERE s.step_id = (
        SELECT iif(asker.kind = 'tool' AND asker.ended_ns >= target.ended_ns, asker.step_id, target.step_id)
        FROM t_steps target LEFT JOIN t_steps asker ON asker.step_id = h.step_id
        WHERE target.step_id = h.target_step_id)) END AS answer, h.status, h.refused_by,
    h.error_message, h.evidence, h.decided_by, h.decided_evidence, h.target_step_id, h.framework,
    strftime('%Y-%m-%dT%H:%M:%S', coalesce(h.requested_ns, h.asked_ns) / 1000000000, 'unixepoch') || printf('.%06dZ', coalesce(h.requested_ns, h.asked_ns) / 1000 % 1000000) AS requested_at, coalesce(h.requested_ns, h.asked_ns) AS requested_ns, strftime('%Y-%m-%dT%H:%M:%S', h.accepted_ns / 1000000000, 'unixepoch') || printf('.%06dZ', h.accepted_ns / 1000 % 1000000) AS accepted_at, h.accepted_ns AS accepted_ns, strftime('%Y-%m-%dT%H:%M:%S', h.returned_ns / 1000000000, 'unixepoch') || printf('.%06dZ', h.returned_ns / 1000 % 1000000) AS returned_at, h.returned_ns AS returned_ns
  FROM t_handoffs h;
CREATE VIEW accesses AS 
  SELECT a.run_id, a.step_id, coalesce(a.agent, s.agent) AS agent, a.source,
    coalesce(a.query, (SELECT iif(json_valid(body) AND substr(body, 1, 1) = '"', json_extract(body, '$'), body)
      FROM payloads WHERE payload_id = a.query_id)) AS query, a.item_id, a.score, a.bytes,
    strftime('%Y-%m-%dT%H:%M:%S', a.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', a.at_ns / 1000 % 1000000) AS at, a.at_ns
  FROM t_accesses a LEFT JOIN t_steps s USING (step_id);
CREATE VIEW decisions AS 
  SELECT d.decision_id, d.run_id, d.step_id, d.call_id, d.agent, d.action, d.resource, d.verdict, d.rule, d.reason,
    d.policy, d.policy_version, d.enforced, strftime('%Y-%m-%dT%H:%M:%S', d.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', d.at_ns / 1000 % 1000000) AS at, d.at_ns
  FROM t_decisions d;
CREATE VIEW approvals AS 
  SELECT a.approval_id, a.run_id, a.step_id, coalesce(a.agent, s.agent) AS agent, a.tool,
    (SELECT body FROM payloads WHERE payload_id = a.arguments_id) AS arguments, a.status, strftime('%Y-%m-%dT%H:%M:%S', a.asked_ns / 1000000000, 'unixepoch') || printf('.%06dZ', a.asked_ns / 1000 % 1000000) AS asked_at, a.asked_ns AS asked_ns, strftime('%Y-%m-%dT%H:%M:%S', a.answered_ns / 1000000000, 'unixepoch') || printf('.%06dZ', a.answered_ns / 1000 % 1000000) AS answered_at, a.answered_ns AS answered_ns,
    a.answered_by, a.comment
  FROM t_approvals a LEFT JOIN t_steps s USING (step_id);
CREATE VIEW scores AS 
  SELECT c.run_id, c.step_id, c.name, c.value, c.label, c.source, c.comment, strftime('%Y-%m-%dT%H:%M:%S', c.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', c.at_ns / 1000 % 1000000) AS at, c.at_ns
  FROM t_scores c;
CREATE VIEW findings AS 
  SELECT f.finding_id, f.run_id, f.step_id, f.detector, f.severity, f.summary, f.cost_nano / 1e9 AS cost_usd,
    f.cost_nano, strftime('%Y-%m-%dT%H:%M:%S', f.at_ns / 1000000000, 'unixepoch') || printf('.%06dZ', f.at_ns / 1000 % 1000000) AS at, f.at_ns
  FROM t_findings f;
CREATE VIEW agents AS 
  SELECT g.agent, g.framework,
    (SELECT s.version FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework AND s.version IS NOT NULL
      ORDER BY s.started_ns DESC LIMIT 1) AS version,
    (SELECT s.owner FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework AND s.owner IS NOT NULL
      ORDER BY s.started_ns DESC LIMIT 1) AS owner,
    g.internal,
    (SELECT coalesce(s.model, s.request_model) FROM t_steps s WHERE s.agent = g.agent AND s.framework IS g.framework
      AND s.kind = 'llm' AND coalesce(s.model, s.request_model) IS NOT NULL ORDER BY s.started_ns DESC LIMIT 1) AS model,
    (SELECT json_group_array(name) FROM (SELECT DISTINCT s.name FROM t_steps s WHERE s.agent = g.agent
      AND s.framework IS g.framework AND s.kind = 'tool' AND s.name IS NOT NULL ORDER BY s.name)) AS tools,
    g.runs, g.steps, g.cost_nano / 1e9 AS cost_usd, g.cost_nano, g.errors,
    strftime('%Y-%m-%dT%H:%M:%S', g.first_seen_ns / 1000000000, 'unixepoch') || printf('.%06dZ', g.first_seen_ns / 1000 % 1000000) AS first_seen, g.first_seen_ns, strftime('%Y-%m-%dT%H:%M:%S', g.last_seen_ns / 1000000000, 'unixepoch') || printf('.%06dZ', g.last_seen_ns / 1000 % 1000000) AS last_seen, g.last_seen_ns
  FROM (SELECT s.agent, s.framework, max(coalesce(s.internal, 0)) AS internal, count(DISTINCT s.run_id) AS runs,
      count(*) AS steps, sum(CASE WHEN s.folded_into IS NOT NULL THEN NULL WHEN s.cached THEN 0 ELSE s.cost_nano END) AS cost_nano, count(s.error_type) AS errors, min(s.started_ns) AS first_seen_ns,
      max(coalesce(s.ended_ns, s.started_ns)) AS last_seen_ns
    FROM t_steps s WHERE s.agent IS NOT NULL GROUP BY s.agent, s.framework) g;
CREATE VIEW processes AS 
  SELECT w.writer AS process_id, p.host, p.pid, strftime('%Y-%m-%dT%H:%M:%S', p.started_ns / 1000000000, 'unixepoch') || printf('.%06dZ', p.started_ns / 1000 % 1000000) AS started_at, p.started_ns AS started_ns, strftime('%Y-%m-%dT%H:%M:%S', p.ended_ns / 1000000000, 'unixepoch') || printf('.%06dZ', p.ended_ns / 1000 % 1000000) AS ended_at, p.ended_ns AS ended_ns,
    p.ended_ns IS NULL AS alive, p.versions, p.gone, strftime('%Y-%m-%dT%H:%M:%S', p.last_ns / 1000000000, 'unixepoch') || printf('.%06dZ', p.last_ns / 1000 % 1000000) AS last_seen, p.last_ns AS last_seen_ns
  FROM (SELECT *, iif(exit_ns >= last_ns, exit_ns, gone_ns) AS ended_ns, gone_ns IS NOT NULL AS gone
    FROM t_processes) p JOIN writers w USING (writer_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('payloads',28);
INSERT INTO "sqlite_sequence" VALUES('events',28);
COMMIT;
