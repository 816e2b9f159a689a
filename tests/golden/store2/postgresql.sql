--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: mergestore_refuse(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.mergestore_refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alias; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alias (
    model_id integer NOT NULL,
    alias character varying(128) NOT NULL,
    version_id integer NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by text NOT NULL
);


--
-- Name: alias_event; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alias_event (
    id integer NOT NULL,
    model_id integer NOT NULL,
    alias character varying(128) NOT NULL,
    version_id integer,
    previous_version_id integer,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL
);


--
-- Name: alias_event_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.alias_event_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: alias_event_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.alias_event_id_seq OWNED BY public.alias_event.id;


--
-- Name: attestation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attestation (
    id integer NOT NULL,
    subject_digest text NOT NULL,
    predicate_type text NOT NULL,
    document text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_attestation_subject_digest CHECK ((length(subject_digest) = 71))
);


--
-- Name: attestation_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.attestation_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: attestation_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.attestation_id_seq OWNED BY public.attestation.id;


--
-- Name: audit_event; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_event (
    sequence integer NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details text NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL,
    CONSTRAINT ck_audit_event_sequence CHECK ((sequence >= 1))
);


--
-- Name: blob; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.blob (
    digest text NOT NULL,
    size bigint NOT NULL,
    sha256 text,
    kind text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_blob_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_blob_kind CHECK ((kind = ANY (ARRAY['weights'::text, 'companion'::text, 'delta'::text, 'statistics'::text]))),
    CONSTRAINT ck_blob_size CHECK ((size >= 0))
);


--
-- Name: delta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.delta (
    version_id integer NOT NULL,
    base_version_id integer NOT NULL,
    encoding text NOT NULL,
    "values" text,
    drop_rate double precision,
    seed bigint,
    parameters json NOT NULL,
    statistics json NOT NULL,
    blob_digest text NOT NULL,
    stored_bytes bigint NOT NULL,
    CONSTRAINT ck_delta_base_is_older CHECK ((base_version_id < version_id)),
    CONSTRAINT ck_delta_dare CHECK (((encoding <> 'dare'::text) OR (("values" IS NOT NULL) AND (drop_rate IS NOT NULL) AND (seed IS NOT NULL)))),
    CONSTRAINT ck_delta_drop_rate CHECK (((drop_rate >= (0)::double precision) AND (drop_rate < (1)::double precision))),
    CONSTRAINT ck_delta_encoding CHECK ((encoding = ANY (ARRAY['dare'::text, 'exact'::text, 'magnitude'::text, 'sign'::text, 'lora'::text]))),
    CONSTRAINT ck_delta_seed CHECK ((seed >= 0)),
    CONSTRAINT ck_delta_stored_bytes CHECK ((stored_bytes >= 0)),
    CONSTRAINT ck_delta_values CHECK (("values" = ANY (ARRAY['int4'::text, 'bf16'::text, 'exact'::text])))
);


--
-- Name: evaluation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.evaluation (
    id integer NOT NULL,
    recipe_digest text,
    version_id integer,
    metric text NOT NULL,
    value double precision NOT NULL,
    dataset text NOT NULL,
    details json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_evaluation_subject CHECK (((recipe_digest IS NOT NULL) OR (version_id IS NOT NULL)))
);


--
-- Name: evaluation_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.evaluation_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: evaluation_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.evaluation_id_seq OWNED BY public.evaluation.id;


--
-- Name: lease; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lease (
    name text NOT NULL,
    holder text NOT NULL,
    acquired_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_lease_period CHECK ((expires_at > acquired_at))
);


--
-- Name: lineage_edge; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lineage_edge (
    child_version_id integer NOT NULL,
    parent_version_id integer NOT NULL,
    role text NOT NULL,
    CONSTRAINT ck_lineage_edge_acyclic CHECK ((child_version_id > parent_version_id)),
    CONSTRAINT ck_lineage_edge_role CHECK ((role = ANY (ARRAY['base'::text, 'skill'::text, 'head'::text, 'merge'::text])))
);


--
-- Name: materialization; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.materialization (
    id character varying(36) NOT NULL,
    recipe_digest text NOT NULL,
    merge_version_id integer,
    output_digest text NOT NULL,
    device text NOT NULL,
    engine text NOT NULL,
    versions json NOT NULL,
    seconds double precision NOT NULL,
    bytes bigint NOT NULL,
    path text,
    cached boolean NOT NULL,
    mlflow_run_id text,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_materialization_measured CHECK (((seconds >= (0)::double precision) AND (bytes >= 0))),
    CONSTRAINT ck_materialization_output_digest CHECK ((length(output_digest) = 71))
);


--
-- Name: mergestore_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.mergestore_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: model; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.model (
    id integer NOT NULL,
    name character varying(128) NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_model_kind CHECK ((kind = ANY (ARRAY['base'::text, 'skill'::text, 'merge'::text])))
);


--
-- Name: model_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.model_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: model_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.model_id_seq OWNED BY public.model.id;


--
-- Name: model_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.model_version (
    id integer NOT NULL,
    model_id integer NOT NULL,
    version integer NOT NULL,
    digest text NOT NULL,
    state text DEFAULT 'ready'::text NOT NULL,
    reason text,
    licence text,
    source text,
    attributes json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_model_version_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_model_version_reason CHECK (((state = 'ready'::text) OR (reason IS NOT NULL))),
    CONSTRAINT ck_model_version_state CHECK ((state = ANY (ARRAY['ready'::text, 'yanked'::text, 'quarantined'::text]))),
    CONSTRAINT ck_model_version_version CHECK ((version >= 1))
);


--
-- Name: model_version_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.model_version_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: model_version_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.model_version_id_seq OWNED BY public.model_version.id;


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox (
    id integer NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    payload json NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    created_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    CONSTRAINT ck_outbox_attempts CHECK ((attempts >= 0))
);


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.outbox_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: outbox_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.outbox_id_seq OWNED BY public.outbox.id;


--
-- Name: pin; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pin (
    version_id integer NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL
);


--
-- Name: recipe; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.recipe (
    digest text NOT NULL,
    canonical text NOT NULL,
    method text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_recipe_digest CHECK ((length(digest) = 71))
);


--
-- Name: recipe_input; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.recipe_input (
    recipe_digest text NOT NULL,
    "position" integer NOT NULL,
    version_id integer NOT NULL,
    weight double precision,
    role text NOT NULL,
    CONSTRAINT ck_recipe_input_position CHECK (("position" >= 0)),
    CONSTRAINT ck_recipe_input_role CHECK ((role = ANY (ARRAY['base'::text, 'skill'::text, 'head'::text])))
);


--
-- Name: statistics; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.statistics (
    id integer NOT NULL,
    version_id integer NOT NULL,
    kind text NOT NULL,
    digest text NOT NULL,
    blob_digest text NOT NULL,
    model_digest text NOT NULL,
    data_digest text NOT NULL,
    examples bigint NOT NULL,
    settings json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_statistics_data_digest CHECK ((length(data_digest) = 71)),
    CONSTRAINT ck_statistics_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_statistics_examples CHECK ((examples >= 1)),
    CONSTRAINT ck_statistics_kind CHECK ((kind = ANY (ARRAY['gram'::text, 'fisher'::text]))),
    CONSTRAINT ck_statistics_model_digest CHECK ((length(model_digest) = 71))
);


--
-- Name: statistics_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.statistics_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: statistics_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.statistics_id_seq OWNED BY public.statistics.id;


--
-- Name: store_meta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.store_meta (
    key text NOT NULL,
    value text NOT NULL
);


--
-- Name: tensor; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tensor (
    version_id integer NOT NULL,
    name text NOT NULL,
    dtype character varying(16) NOT NULL,
    shape json NOT NULL,
    digest text NOT NULL,
    file text,
    "offset" bigint,
    nbytes bigint NOT NULL,
    statistics json,
    CONSTRAINT ck_tensor_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_tensor_extent CHECK ((("offset" >= 0) AND (nbytes >= 0))),
    CONSTRAINT ck_tensor_place CHECK (((file IS NULL) = ("offset" IS NULL)))
);


--
-- Name: version_file; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.version_file (
    version_id integer NOT NULL,
    path text NOT NULL,
    kind text NOT NULL,
    size bigint NOT NULL,
    blob_digest text,
    referenced_path text,
    referenced_digest text,
    CONSTRAINT ck_version_file_kind CHECK ((kind = ANY (ARRAY['weights'::text, 'companion'::text, 'delta'::text]))),
    CONSTRAINT ck_version_file_one_place CHECK (((blob_digest IS NULL) <> (referenced_path IS NULL))),
    CONSTRAINT ck_version_file_size CHECK ((size >= 0))
);


--
-- Name: alias_event id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event ALTER COLUMN id SET DEFAULT nextval('public.alias_event_id_seq'::regclass);


--
-- Name: attestation id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attestation ALTER COLUMN id SET DEFAULT nextval('public.attestation_id_seq'::regclass);


--
-- Name: evaluation id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation ALTER COLUMN id SET DEFAULT nextval('public.evaluation_id_seq'::regclass);


--
-- Name: model id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model ALTER COLUMN id SET DEFAULT nextval('public.model_id_seq'::regclass);


--
-- Name: model_version id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version ALTER COLUMN id SET DEFAULT nextval('public.model_version_id_seq'::regclass);


--
-- Name: outbox id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox ALTER COLUMN id SET DEFAULT nextval('public.outbox_id_seq'::regclass);


--
-- Name: statistics id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics ALTER COLUMN id SET DEFAULT nextval('public.statistics_id_seq'::regclass);


--
-- Data for Name: alias; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alias VALUES (2, 'prod', 3, '2026-11-28 14:11:29.119402+00', 'ann@lab');
INSERT INTO public.alias VALUES (7, 'prod', 8, '2026-11-28 14:11:29.292087+00', 'ann@lab');


--
-- Data for Name: alias_event; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alias_event VALUES (1, 2, 'prod', 2, NULL, '2026-11-28 14:11:29.114793+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (2, 2, 'prod', 3, 2, '2026-11-28 14:11:29.120421+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (3, 7, 'prod', 8, NULL, '2026-11-28 14:11:29.292605+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (4, 7, 'next', 9, NULL, '2026-11-28 14:11:29.296204+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (5, 7, 'next', NULL, 9, '2026-11-28 14:11:29.300505+00', 'ann@lab');


--
-- Data for Name: attestation; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: audit_event; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_event VALUES (1, '2026-11-28 14:11:27.923688+00', 'ann@lab', 'version.create', 'golden/base@1', '{"attributes":"sha256:dc568425398865307f21fb1c237ed529840f43ad0597e1ce22a370b3fe7dbbd8","digest":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","kind":"base","licence":"Apache-2.0","source":"/srv/models/base"}', 'sha256:0000000000000000000000000000000000000000000000000000000000000000', 'sha256:4590e10c9de2442b88025b4ef87dc0a9d56bbe3032ada7695ca2b732ea013eff');
INSERT INTO public.audit_event VALUES (2, '2026-11-28 14:11:27.935157+00', 'ann@lab', 'files.add', 'golden/base@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","model.safetensors":"blake3:e00558eca1699131e33e0c521cb747ab75910e12681c024f81445d78461012c4"},"rows":"sha256:0925301b41e31e07e112960f08affe461c11d8f316fae561d7dcfbffe2008afa"}', 'sha256:4590e10c9de2442b88025b4ef87dc0a9d56bbe3032ada7695ca2b732ea013eff', 'sha256:e409729c8a3f6c8e7359c09f4595832c8adcde53c61ab05de1fa04a178e1d06e');
INSERT INTO public.audit_event VALUES (3, '2026-11-28 14:11:27.940778+00', 'ann@lab', 'tensors.add', 'golden/base@1', '{"rows":"sha256:8f7e65615bf8c4cb5fb6fe1d21451dfb70e227c8eb5319b8d0a6975048182c9c","tensors":7}', 'sha256:e409729c8a3f6c8e7359c09f4595832c8adcde53c61ab05de1fa04a178e1d06e', 'sha256:1bfe129b4290baf08b70247fbceaed0f0cc58101b4b618264c093f99b6fedc5e');
INSERT INTO public.audit_event VALUES (4, '2026-11-28 14:11:28.613222+00', 'ann@lab', 'version.create', 'math@1', '{"attributes":"sha256:2b13d876ad4220642e64cb841d33ff8af183bab80fd47b933590db1d82cb9f50","digest":"blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5","kind":"skill","licence":"MIT","source":"/srv/models/tuned"}', 'sha256:1bfe129b4290baf08b70247fbceaed0f0cc58101b4b618264c093f99b6fedc5e', 'sha256:706d640f6301ac1c82a40349cfdefe92267c75c5239f0134a62c4daf67f07b59');
INSERT INTO public.audit_event VALUES (5, '2026-11-28 14:11:28.617057+00', 'ann@lab', 'files.add', 'math@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426"},"rows":"sha256:ae49bc65725005d48bfda8fb1c5eb1f7b226c5ee73db1beb61a57bc3a3f551ca"}', 'sha256:706d640f6301ac1c82a40349cfdefe92267c75c5239f0134a62c4daf67f07b59', 'sha256:56b03ceb2d87bb23491268ced7c9f30eb362da85b3f92baa5d8f8cb5c55dc311');
INSERT INTO public.audit_event VALUES (6, '2026-11-28 14:11:28.621815+00', 'ann@lab', 'tensors.add', 'math@1', '{"rows":"sha256:30631cbaa4ee6ef3a8a5a6a93d87abe1b1e66ae4016f1336223fe5f81f9d416f","tensors":7}', 'sha256:56b03ceb2d87bb23491268ced7c9f30eb362da85b3f92baa5d8f8cb5c55dc311', 'sha256:4169ad50d3a148f60be06fd51f0d0696620ef486d181487862fbdada5f68ea1c');
INSERT INTO public.audit_event VALUES (7, '2026-11-28 14:11:28.62822+00', 'ann@lab', 'delta.add', 'math@1', '{"base":"golden/base@1","blob":"blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426","drop_rate":0.899993896484375,"encoding":"dare","rows":"sha256:1d349c9ac82963609e520a83be0c0699d2c6c03b0d5f7899018c997ae142cf25","seed":0,"values":"int4"}', 'sha256:4169ad50d3a148f60be06fd51f0d0696620ef486d181487862fbdada5f68ea1c', 'sha256:c285b31faf25265e960cd824d74dc586a67530f86fe807edcb7448dbeec40666');
INSERT INTO public.audit_event VALUES (8, '2026-11-28 14:11:28.630664+00', 'ann@lab', 'lineage.add', 'math@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:c285b31faf25265e960cd824d74dc586a67530f86fe807edcb7448dbeec40666', 'sha256:b30f2eb01dc9a6d2bbf187909d0f78d27d7aca3207b94cc8eb824d07e69a4a88');
INSERT INTO public.audit_event VALUES (9, '2026-11-28 14:11:28.656512+00', 'ann@lab', 'version.create', 'math@2', '{"attributes":"sha256:0bf5cc79db7f48db1131c76896b1e963d3aa57d29375466a086014712f7e748a","digest":"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a","kind":"skill","licence":"MIT","source":"/srv/models/tuned"}', 'sha256:b30f2eb01dc9a6d2bbf187909d0f78d27d7aca3207b94cc8eb824d07e69a4a88', 'sha256:c77747c6a6a99f1c0403a7ed28b4a5ea5b5352d494fa70adb6c7b0f0268b7694');
INSERT INTO public.audit_event VALUES (10, '2026-11-28 14:11:28.659994+00', 'ann@lab', 'files.add', 'math@2', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0"},"rows":"sha256:6e8e6c5e510b76bc9d9e9d718a5b80a7d1749b10df16a1bc2d0903dc0d4bd581"}', 'sha256:c77747c6a6a99f1c0403a7ed28b4a5ea5b5352d494fa70adb6c7b0f0268b7694', 'sha256:c4c9931647a53561c6d47e5c6f8e25ed0b4a56a67c2ff5dad656d64a3b850c2e');
INSERT INTO public.audit_event VALUES (11, '2026-11-28 14:11:28.664915+00', 'ann@lab', 'tensors.add', 'math@2', '{"rows":"sha256:e51129d4b84b6af57d0feb68f3e3b258f46f5739c062f0e9a8eec801be16b222","tensors":7}', 'sha256:c4c9931647a53561c6d47e5c6f8e25ed0b4a56a67c2ff5dad656d64a3b850c2e', 'sha256:31c2923880e00c8e48eb1c344fa8a966f2b4806064f74f46763470a68e636936');
INSERT INTO public.audit_event VALUES (12, '2026-11-28 14:11:28.667878+00', 'ann@lab', 'delta.add', 'math@2', '{"base":"golden/base@1","blob":"blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0","drop_rate":0.5,"encoding":"dare","rows":"sha256:e59997fd216b96f8945f3d5cb6f4c476a8031d3f4652576279058c53a4eacad1","seed":7,"values":"int4"}', 'sha256:31c2923880e00c8e48eb1c344fa8a966f2b4806064f74f46763470a68e636936', 'sha256:3fc52474d0536cdfb878232806087e6083e3ca69814f384788328ea8f4881113');
INSERT INTO public.audit_event VALUES (13, '2026-11-28 14:11:28.669538+00', 'ann@lab', 'lineage.add', 'math@2', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:3fc52474d0536cdfb878232806087e6083e3ca69814f384788328ea8f4881113', 'sha256:4c405df58f57b0bf25d8395aeafbbd3b75947b4f9c0c1a45ac1e5cecdd8d326b');
INSERT INTO public.audit_event VALUES (14, '2026-11-28 14:11:28.728023+00', 'ann@lab', 'version.create', 'code@1', '{"attributes":"sha256:c1f4e44cca1d36a6514a0480f7c5aa179a896e565c164c49065361298c32e615","digest":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","kind":"skill","licence":"apache-2.0","source":"/srv/models/tuned"}', 'sha256:4c405df58f57b0bf25d8395aeafbbd3b75947b4f9c0c1a45ac1e5cecdd8d326b', 'sha256:cf8a55280712c04571565a487c9fb0d60b56084a274a5434cd0d2d683be09f45');
INSERT INTO public.audit_event VALUES (15, '2026-11-28 14:11:28.730768+00', 'ann@lab', 'files.add', 'code@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e"},"rows":"sha256:0d0ccf659f86d0525565c5648598b602a15bd826924a0c0b8e353c2e78524970"}', 'sha256:cf8a55280712c04571565a487c9fb0d60b56084a274a5434cd0d2d683be09f45', 'sha256:9fc731d78339ef20b9781a7338bdb0ec748f4c83d540c51b8db0a7bbb9c9aa48');
INSERT INTO public.audit_event VALUES (16, '2026-11-28 14:11:28.734348+00', 'ann@lab', 'tensors.add', 'code@1', '{"rows":"sha256:8e326159d86c748295bb0fff0d40a4f0d2a5e7e0bb1a23797cc145776aed6f11","tensors":7}', 'sha256:9fc731d78339ef20b9781a7338bdb0ec748f4c83d540c51b8db0a7bbb9c9aa48', 'sha256:4db94646ec8a69ce5169d1b023a45c498ed31f6ca95e985b36d4c2631985fb90');
INSERT INTO public.audit_event VALUES (17, '2026-11-28 14:11:28.736912+00', 'ann@lab', 'delta.add', 'code@1', '{"base":"golden/base@1","blob":"blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e","drop_rate":null,"encoding":"exact","rows":"sha256:742324698bbb295fc61e57aeea8e88b15fd6c3b5edd24d61cf623f22141102c8","seed":null,"values":null}', 'sha256:4db94646ec8a69ce5169d1b023a45c498ed31f6ca95e985b36d4c2631985fb90', 'sha256:29a8fb05b4c855f9c9fd5391c6a55beb521afd87f649420c63c592e67259cf3a');
INSERT INTO public.audit_event VALUES (18, '2026-11-28 14:11:28.738694+00', 'ann@lab', 'lineage.add', 'code@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:29a8fb05b4c855f9c9fd5391c6a55beb521afd87f649420c63c592e67259cf3a', 'sha256:6f96b8a1934d1c7020072af61bc2f7d01c460fd2db288436b7d24ccb5bad6785');
INSERT INTO public.audit_event VALUES (19, '2026-11-28 14:11:28.8091+00', 'ann@lab', 'version.create', 'style@1', '{"attributes":"sha256:c1f4e44cca1d36a6514a0480f7c5aa179a896e565c164c49065361298c32e615","digest":"blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84","kind":"skill","licence":null,"source":"/srv/models/tuned"}', 'sha256:6f96b8a1934d1c7020072af61bc2f7d01c460fd2db288436b7d24ccb5bad6785', 'sha256:019a6825583e5f568f649576aa8c2caf1370572a183e4887b4f6ad1a9bd0b6d2');
INSERT INTO public.audit_event VALUES (59, '2026-11-28 14:11:29.503374+00', 'ann@lab', 'version.yank', 'style@1', '{"reason":"trained on the wrong catalogue"}', 'sha256:9d628ca14768d667ae809120fc7a6ff09dc9d8bb4d96aba6691ee3f7bca1dcfb', 'sha256:6cd21e84da145651fb5aa71d1207a554d25cedcdae902a49a7aa4f6eb75a0250');
INSERT INTO public.audit_event VALUES (20, '2026-11-28 14:11:28.811765+00', 'ann@lab', 'files.add', 'style@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799"},"rows":"sha256:e6d3bd4f617f76e8df1e520ef38fabdbdb8fb46d76e74100d4043d280a219998"}', 'sha256:019a6825583e5f568f649576aa8c2caf1370572a183e4887b4f6ad1a9bd0b6d2', 'sha256:09ded2338d671cb5956fd7e8d582b554ef1cef83f09ce93513dca44ffe7227d2');
INSERT INTO public.audit_event VALUES (21, '2026-11-28 14:11:28.81511+00', 'ann@lab', 'tensors.add', 'style@1', '{"rows":"sha256:35801b0529a1ba6dc516b377787a2d791f3f333fe545651a6657f27b2110a2d5","tensors":7}', 'sha256:09ded2338d671cb5956fd7e8d582b554ef1cef83f09ce93513dca44ffe7227d2', 'sha256:faa937962c3311184ec44a6b4ce7668be441f1377b644f0112739bb876234b87');
INSERT INTO public.audit_event VALUES (22, '2026-11-28 14:11:28.817921+00', 'ann@lab', 'delta.add', 'style@1', '{"base":"golden/base@1","blob":"blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799","drop_rate":null,"encoding":"magnitude","rows":"sha256:8e14b0420a8b292115bbf4cf5aff8d6c97174101cc471f6513b275e87fa18e00","seed":null,"values":"int4"}', 'sha256:faa937962c3311184ec44a6b4ce7668be441f1377b644f0112739bb876234b87', 'sha256:ec91314752596d848a41d8474901498d246e522e3f7f9d1c136fbb815b60efb8');
INSERT INTO public.audit_event VALUES (23, '2026-11-28 14:11:28.819382+00', 'ann@lab', 'lineage.add', 'style@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:ec91314752596d848a41d8474901498d246e522e3f7f9d1c136fbb815b60efb8', 'sha256:77f9ebdc51f13d2eac4aa9f6d92faa9b425406bb5436466014a1c522fc2dc939');
INSERT INTO public.audit_event VALUES (24, '2026-11-28 14:11:28.846491+00', 'ann@lab', 'version.create', 'small@1', '{"attributes":"sha256:c1f4e44cca1d36a6514a0480f7c5aa179a896e565c164c49065361298c32e615","digest":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","kind":"skill","licence":null,"source":"/srv/models/tuned"}', 'sha256:77f9ebdc51f13d2eac4aa9f6d92faa9b425406bb5436466014a1c522fc2dc939', 'sha256:8e197b24f35b46bc1a208ee0a95cc39357baba992b90da3525e73703812e8952');
INSERT INTO public.audit_event VALUES (25, '2026-11-28 14:11:28.849243+00', 'ann@lab', 'files.add', 'small@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617"},"rows":"sha256:b6202429a52d4924824e35138f226b7f7eeb93d70e60ba5cab71b78b472ecdfb"}', 'sha256:8e197b24f35b46bc1a208ee0a95cc39357baba992b90da3525e73703812e8952', 'sha256:a392240ada23261835f63d7d42e40459e64f8ab3485cd33ceeb94f4c306e4619');
INSERT INTO public.audit_event VALUES (26, '2026-11-28 14:11:28.852173+00', 'ann@lab', 'tensors.add', 'small@1', '{"rows":"sha256:8e326159d86c748295bb0fff0d40a4f0d2a5e7e0bb1a23797cc145776aed6f11","tensors":7}', 'sha256:a392240ada23261835f63d7d42e40459e64f8ab3485cd33ceeb94f4c306e4619', 'sha256:f5e370ea015a7d1c836da6a27dfa98e82f2a024b36805c3ca1dd8a84609a1925');
INSERT INTO public.audit_event VALUES (27, '2026-11-28 14:11:28.854643+00', 'ann@lab', 'delta.add', 'small@1', '{"base":"golden/base@1","blob":"blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617","drop_rate":null,"encoding":"sign","rows":"sha256:8d58d17f7b1727ced41523b714b818f21051e2e319bed205f91ff42b21864bfa","seed":null,"values":null}', 'sha256:f5e370ea015a7d1c836da6a27dfa98e82f2a024b36805c3ca1dd8a84609a1925', 'sha256:9fffdc01834dfa87151f5d28c1b97988367da1a006fe598bef612a5094fc39ad');
INSERT INTO public.audit_event VALUES (28, '2026-11-28 14:11:28.856107+00', 'ann@lab', 'lineage.add', 'small@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:9fffdc01834dfa87151f5d28c1b97988367da1a006fe598bef612a5094fc39ad', 'sha256:03c74a351c85852ec1dcfb5b47904cb17236f7b39e2aa5bd704c3da47a1c04a6');
INSERT INTO public.audit_event VALUES (29, '2026-11-28 14:11:28.883101+00', 'ann@lab', 'version.create', 'polite@1', '{"attributes":"sha256:fd9e56d2084664fd1f36d5e7031baa630245f4bff3b1b6cef34200e9c2e28699","digest":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","kind":"skill","licence":"llama3","source":"/srv/models/adapter"}', 'sha256:03c74a351c85852ec1dcfb5b47904cb17236f7b39e2aa5bd704c3da47a1c04a6', 'sha256:108b0e7d8a41968bda2423963d726c305f2e04eaf86229fd22d0402530e71155');
INSERT INTO public.audit_event VALUES (30, '2026-11-28 14:11:28.886593+00', 'ann@lab', 'files.add', 'polite@1', '{"files":{"delta.safetensors":"blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38"},"rows":"sha256:e84c93ee010b7c34162cd98bab2ad9d48ad390f39906789f36b9acf713de12fc"}', 'sha256:108b0e7d8a41968bda2423963d726c305f2e04eaf86229fd22d0402530e71155', 'sha256:f1d058ef579b5aec13f97c52d19738c88513eb9f601daf7a203ecad77e2d0fef');
INSERT INTO public.audit_event VALUES (31, '2026-11-28 14:11:28.889123+00', 'ann@lab', 'tensors.add', 'polite@1', '{"rows":"sha256:72a2dbd3f83205b4c76675aaa6dbbdc2322572f4ab6393ee80d1fe3f252ddaf3","tensors":7}', 'sha256:f1d058ef579b5aec13f97c52d19738c88513eb9f601daf7a203ecad77e2d0fef', 'sha256:32e38018686bae8e412acd58b2a735ba767fe7186aab52d56564663b9ff5f598');
INSERT INTO public.audit_event VALUES (32, '2026-11-28 14:11:28.891816+00', 'ann@lab', 'delta.add', 'polite@1', '{"base":"golden/base@1","blob":"blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38","drop_rate":null,"encoding":"lora","rows":"sha256:98a797ef970c5c1a755c77313177ba80825a3de4883184333c82bf4fe714a0c7","seed":null,"values":null}', 'sha256:32e38018686bae8e412acd58b2a735ba767fe7186aab52d56564663b9ff5f598', 'sha256:4b43a3fd3c2b58a670ab98a6d143f2c423a3a94e810906fe2129139ace7571b1');
INSERT INTO public.audit_event VALUES (33, '2026-11-28 14:11:28.893356+00', 'ann@lab', 'lineage.add', 'polite@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:4b43a3fd3c2b58a670ab98a6d143f2c423a3a94e810906fe2129139ace7571b1', 'sha256:024b2f8ef2a6cac392568af8150e21bf285b0215641e2a7f270d9d5770d9de80');
INSERT INTO public.audit_event VALUES (34, '2026-11-28 14:11:29.106326+00', 'ann@lab', 'statistics.add', 'code@1', '{"blob":"blake3:d28a2c29c0ab4191682b524179f2b27b9f2e04bf4a17da4b095b983c4534138c","data":"sha256:fb484bfff0423cc3fdeaa7494795d0716066a8d06b586cd470bca837659e04da","examples":4,"kind":"fisher","model":"blake3:bc07219f99091a240aa6b62335735b36657afd6462e86df24de90d24a97f6e57","rows":"sha256:f897d9b295fce04949bba6f40e3a9de15e731778d3bb2c4e47340bafaffca357","statistics":"blake3:8bbbc0206c0a3585e7ac3032361a0da36b5993b1ca257993dc88a8f415d26d20"}', 'sha256:024b2f8ef2a6cac392568af8150e21bf285b0215641e2a7f270d9d5770d9de80', 'sha256:f84d27006a6228b661a4ad38cc7324473650fd832ec21b3a1c6a3d833854d720');
INSERT INTO public.audit_event VALUES (35, '2026-11-28 14:11:29.116082+00', 'ann@lab', 'alias.set', 'math@1', '{"alias":"prod","previous":null}', 'sha256:f84d27006a6228b661a4ad38cc7324473650fd832ec21b3a1c6a3d833854d720', 'sha256:22f16edbcec637d175019b4c559e1e7d0f14cd66ecb38a54d3d748cd568c03b5');
INSERT INTO public.audit_event VALUES (36, '2026-11-28 14:11:29.121717+00', 'ann@lab', 'alias.set', 'math@2', '{"alias":"prod","previous":1}', 'sha256:22f16edbcec637d175019b4c559e1e7d0f14cd66ecb38a54d3d748cd568c03b5', 'sha256:c60e2fdeb4c26194e6bfda9848de202d7d9d1c436020c82611378d3c0ad37597');
INSERT INTO public.audit_event VALUES (37, '2026-11-28 14:11:29.140817+00', 'ann@lab', 'version.create', 'assistant@1', '{"attributes":"sha256:5aaff2afc026cd34bd7a6dbcd2d12f058e1a92419783ed214a6d0ee4ec2b3f27","digest":"sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461","kind":"merge","licence":null,"source":null}', 'sha256:c60e2fdeb4c26194e6bfda9848de202d7d9d1c436020c82611378d3c0ad37597', 'sha256:b0d67f2c071b22326bf0d086e77ff375783a0773d54d26b8d718e3383ee41c99');
INSERT INTO public.audit_event VALUES (38, '2026-11-28 14:11:29.150899+00', 'ann@lab', 'recipe.record', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"inputs":"sha256:7a1b074e72e23d46b27340adef8648743afe4b4bbcf2b7d50b5189eeed582163","method":"dare_linear"}', 'sha256:b0d67f2c071b22326bf0d086e77ff375783a0773d54d26b8d718e3383ee41c99', 'sha256:168e0739cd8634da8f7574b7c0b651017e7ce08f496f80fdbf88ce0b7932d39a');
INSERT INTO public.audit_event VALUES (39, '2026-11-28 14:11:29.153115+00', 'ann@lab', 'lineage.add', 'assistant@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"math@2","role":"head"},{"parent":"math@2","role":"skill"},{"parent":"polite@1","role":"skill"}]}', 'sha256:168e0739cd8634da8f7574b7c0b651017e7ce08f496f80fdbf88ce0b7932d39a', 'sha256:a62422e90f7a732f5675d51e6e885c690bf85f6d111cc4e96b2d0344a565eb24');
INSERT INTO public.audit_event VALUES (40, '2026-11-28 14:11:29.164599+00', 'ann@lab', 'version.create', 'assistant@2', '{"attributes":"sha256:0012be9fdd9c0a5bd9f02211b096916ce299c646f7ca3fc382a3a4c89a8032b5","digest":"sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c","kind":"merge","licence":null,"source":null}', 'sha256:a62422e90f7a732f5675d51e6e885c690bf85f6d111cc4e96b2d0344a565eb24', 'sha256:6b8942231f5d63069e89c217e050b9caa2c5145f46c9ec61275dfa26bb850125');
INSERT INTO public.audit_event VALUES (41, '2026-11-28 14:11:29.169223+00', 'ann@lab', 'recipe.record', 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', '{"inputs":"sha256:be857db3b848632a3743a6679aabd4110e568b835369285421212956a346d322","method":"ties"}', 'sha256:6b8942231f5d63069e89c217e050b9caa2c5145f46c9ec61275dfa26bb850125', 'sha256:6e595f01457bfb78aaf64a766cc7389ecaf86b266648960ae75fd0de0734198e');
INSERT INTO public.audit_event VALUES (42, '2026-11-28 14:11:29.171116+00', 'ann@lab', 'lineage.add', 'assistant@2', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"code@1","role":"skill"},{"parent":"style@1","role":"skill"}]}', 'sha256:6e595f01457bfb78aaf64a766cc7389ecaf86b266648960ae75fd0de0734198e', 'sha256:2573218025f5fa692bfc931cadf022ce910f8b5dd87f5b95285d6f73651b7108');
INSERT INTO public.audit_event VALUES (43, '2026-11-28 14:11:29.266634+00', 'ann@lab', 'version.create', 'several@1', '{"attributes":"sha256:04dfcfba4c6fe574a20189815bdb29bd05d82bb050aa2da5e7dfc224ef145bfd","digest":"sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f","kind":"merge","licence":null,"source":null}', 'sha256:2573218025f5fa692bfc931cadf022ce910f8b5dd87f5b95285d6f73651b7108', 'sha256:3040f094b1215d0b08680faebc2a8db4b279378920c557bd1e1ce39ac86138c3');
INSERT INTO public.audit_event VALUES (44, '2026-11-28 14:11:29.270046+00', 'ann@lab', 'recipe.record', 'sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', '{"inputs":"sha256:140c31f9fafcf5d980caf8bba536528c8d94faf826a0308ee62179c75389268e","method":"emr"}', 'sha256:3040f094b1215d0b08680faebc2a8db4b279378920c557bd1e1ce39ac86138c3', 'sha256:836eeb343ddb3bafd1671fcd6b9f8455d93fc61e1c57b26bfaedc96ef0062a98');
INSERT INTO public.audit_event VALUES (45, '2026-11-28 14:11:29.271523+00', 'ann@lab', 'lineage.add', 'several@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"code@1","role":"skill"},{"parent":"polite@1","role":"skill"}]}', 'sha256:836eeb343ddb3bafd1671fcd6b9f8455d93fc61e1c57b26bfaedc96ef0062a98', 'sha256:8ddd27bd47a28d9ec108cb06b0a980aa349dd6b091ea476f740dac7746a4dfa9');
INSERT INTO public.audit_event VALUES (46, '2026-11-28 14:11:29.274818+00', 'ann@lab', 'files.add', 'several@1', '{"files":{"unified.safetensors":"blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e"},"rows":"sha256:3446e0228dd23ba9e12fc90ebaddae0d59c85199c66420509e8a34d43a64a136"}', 'sha256:8ddd27bd47a28d9ec108cb06b0a980aa349dd6b091ea476f740dac7746a4dfa9', 'sha256:04e6ae14703a73f00edef2cdd7fdf3aa4a7139f30fd7bd73a75dc52aad96847b');
INSERT INTO public.audit_event VALUES (47, '2026-11-28 14:11:29.284081+00', 'ann@lab', 'version.create', 'weighted@1', '{"attributes":"sha256:7611c09ca467e09a1692cb176b432e8d9c1a67d56c7f2d84886a470e74ac21d4","digest":"sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124","kind":"merge","licence":null,"source":null}', 'sha256:04e6ae14703a73f00edef2cdd7fdf3aa4a7139f30fd7bd73a75dc52aad96847b', 'sha256:af308a22a1e333af85b67b447de1317c5851dc5defc53c7ef247605b5d39be92');
INSERT INTO public.audit_event VALUES (48, '2026-11-28 14:11:29.287689+00', 'ann@lab', 'recipe.record', 'sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', '{"inputs":"sha256:87fa242fe40532cbf3ccc4c21cfcb24b2bd8241ffac8ebbfbe939103b732c5fb","method":"fisher"}', 'sha256:af308a22a1e333af85b67b447de1317c5851dc5defc53c7ef247605b5d39be92', 'sha256:83e7e763963247d9c21bc96651340e50b968780542b0b2f5f1beff78e9243ba9');
INSERT INTO public.audit_event VALUES (49, '2026-11-28 14:11:29.289208+00', 'ann@lab', 'lineage.add', 'weighted@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"code@1","role":"skill"}]}', 'sha256:83e7e763963247d9c21bc96651340e50b968780542b0b2f5f1beff78e9243ba9', 'sha256:649cef90e4eddcf476217c3575dca42fc67881143dc3d1762b3099524084e441');
INSERT INTO public.audit_event VALUES (50, '2026-11-28 14:11:29.293235+00', 'ann@lab', 'alias.set', 'assistant@1', '{"alias":"prod","previous":null}', 'sha256:649cef90e4eddcf476217c3575dca42fc67881143dc3d1762b3099524084e441', 'sha256:1f8631e48652d39fe75f254142fdc5bec6750aaf6870468f50e400ea74117f9d');
INSERT INTO public.audit_event VALUES (51, '2026-11-28 14:11:29.29682+00', 'ann@lab', 'alias.set', 'assistant@2', '{"alias":"next","previous":null}', 'sha256:1f8631e48652d39fe75f254142fdc5bec6750aaf6870468f50e400ea74117f9d', 'sha256:d24f1ae7603e1d6dbd22bfb448ed843f15c24a9c0bde07767ebca13748b8ec87');
INSERT INTO public.audit_event VALUES (52, '2026-11-28 14:11:29.302252+00', 'ann@lab', 'alias.remove', 'assistant@2', '{"alias":"next"}', 'sha256:d24f1ae7603e1d6dbd22bfb448ed843f15c24a9c0bde07767ebca13748b8ec87', 'sha256:d5b33eb8b5755a55fe08a11b949d5637be1ae3442e41577c92c7e0ee521b3de7');
INSERT INTO public.audit_event VALUES (53, '2026-11-28 14:11:29.390322+00', 'ann@lab', 'materialization.record', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"device":"cpu","engine":"numba","materialization":"fe5716ff-5207-495c-b3cd-9c783985ae51","output_digest":"blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb","path":"/srv/mergestore/cache/c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461","row":"sha256:11972ac0e9d56d001f6696c1c076ac7d6510956cc48b4d9575a7571ead1af270"}', 'sha256:d5b33eb8b5755a55fe08a11b949d5637be1ae3442e41577c92c7e0ee521b3de7', 'sha256:d0354a2c4ab8e2cd27aef66f8f8edbc08707bf35e307a8f5a4065b751cd66b1c');
INSERT INTO public.audit_event VALUES (54, '2026-11-28 14:11:29.435636+00', 'ann@lab', 'materialization.record', 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', '{"device":"cpu","engine":"numba","materialization":"1dacc43c-cae7-46a2-ba5f-322aecc6763b","output_digest":"blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d","path":"/srv/mergestore/cache/2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c","row":"sha256:e682d3a9f7996081f94f6ea776bc47634131338d8e27e789a0f194ea5eef13a5"}', 'sha256:d0354a2c4ab8e2cd27aef66f8f8edbc08707bf35e307a8f5a4065b751cd66b1c', 'sha256:aa521797132df3b260a44bf5355d27ffa2b9c863665645a52dc758d5e47385e4');
INSERT INTO public.audit_event VALUES (55, '2026-11-28 14:11:29.465451+00', 'ann@lab', 'recipe.record', 'sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', '{"inputs":"sha256:f6742fc2d8e57d49050aa4219b065fb4610c6862fee21b1e36d8428f6a9d9725","method":"task_arithmetic"}', 'sha256:aa521797132df3b260a44bf5355d27ffa2b9c863665645a52dc758d5e47385e4', 'sha256:d1dbc33d3889c706c10c0a05dff124d26ab0dd073942be74f92ced977d21921f');
INSERT INTO public.audit_event VALUES (56, '2026-11-28 14:11:29.467305+00', 'ann@lab', 'materialization.record', 'sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', '{"device":"cpu","engine":"numba","materialization":"de8d484a-9a87-4469-bbab-27e1924fb1d4","output_digest":"blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2","path":"/srv/mergestore/cache/35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d","row":"sha256:296640cffd3e13701e50c777a638c2cf828e8ce5fff710316b91c5649faa0675"}', 'sha256:d1dbc33d3889c706c10c0a05dff124d26ab0dd073942be74f92ced977d21921f', 'sha256:b91ba0a22e2f5792bd88fb2c814c85eeab8ad1e213c5822a3d529efd2f8e2a6d');
INSERT INTO public.audit_event VALUES (57, '2026-11-28 14:11:29.495674+00', 'ann@lab', 'recipe.record', 'sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', '{"inputs":"sha256:7fba3b4c506c6e778a68e310304f8b87cb104804509dcf1155cb646f6ee21e6d","method":"emr"}', 'sha256:b91ba0a22e2f5792bd88fb2c814c85eeab8ad1e213c5822a3d529efd2f8e2a6d', 'sha256:7fe8ab4eade2d08573621e10a6734b109439641dd0e767fd8d599fab5b43e54c');
INSERT INTO public.audit_event VALUES (58, '2026-11-28 14:11:29.497503+00', 'ann@lab', 'materialization.record', 'sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', '{"device":"cpu","engine":"numba","materialization":"30555d53-0c48-4534-9452-d75e9a04edcd","output_digest":"blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162","path":"/srv/mergestore/cache/5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9","row":"sha256:7411cbd4d4e2c2a86f8c2ea60199285ae6bb6892ab21b519a9c15a67aab0ca7a"}', 'sha256:7fe8ab4eade2d08573621e10a6734b109439641dd0e767fd8d599fab5b43e54c', 'sha256:9d628ca14768d667ae809120fc7a6ff09dc9d8bb4d96aba6691ee3f7bca1dcfb');


--
-- Data for Name: blob; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.blob VALUES ('blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', 94, NULL, 'companion', '2026-11-28 14:11:27.930645+00');
INSERT INTO public.blob VALUES ('blake3:e00558eca1699131e33e0c521cb747ab75910e12681c024f81445d78461012c4', 2015, NULL, 'weights', '2026-11-28 14:11:27.930655+00');
INSERT INTO public.blob VALUES ('blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426', 5891, NULL, 'delta', '2026-11-28 14:11:28.615568+00');
INSERT INTO public.blob VALUES ('blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0', 6004, NULL, 'delta', '2026-11-28 14:11:28.658327+00');
INSERT INTO public.blob VALUES ('blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e', 6481, NULL, 'delta', '2026-11-28 14:11:28.729567+00');
INSERT INTO public.blob VALUES ('blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799', 6006, NULL, 'delta', '2026-11-28 14:11:28.810524+00');
INSERT INTO public.blob VALUES ('blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617', 5955, NULL, 'delta', '2026-11-28 14:11:28.8481+00');
INSERT INTO public.blob VALUES ('blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38', 5654, NULL, 'delta', '2026-11-28 14:11:28.885071+00');
INSERT INTO public.blob VALUES ('blake3:d28a2c29c0ab4191682b524179f2b27b9f2e04bf4a17da4b095b983c4534138c', 2815, NULL, 'statistics', '2026-11-28 14:11:29.102423+00');
INSERT INTO public.blob VALUES ('blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e', 7377, NULL, 'delta', '2026-11-28 14:11:29.273823+00');


--
-- Data for Name: delta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.delta VALUES (2, 1, 'dare', 'int4', 0.899993896484375, 0, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 39, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426', 5891);
INSERT INTO public.delta VALUES (3, 1, 'dare', 'int4', 0.5, 7, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0', 6004);
INSERT INTO public.delta VALUES (4, 1, 'exact', NULL, NULL, NULL, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e', 6481);
INSERT INTO public.delta VALUES (5, 1, 'magnitude', 'int4', NULL, NULL, '{"prefix": "bert.", "dropped_prefix": "", "density": 0.1, "trim": "model"}', '{"total": {"elements": 410, "kept": 43, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799', 6006);
INSERT INTO public.delta VALUES (6, 1, 'sign', NULL, NULL, NULL, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617', 5955);
INSERT INTO public.delta VALUES (7, 1, 'lora', NULL, NULL, NULL, '{"prefix": "", "dropped_prefix": ""}', '{"total": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "98.0% of the changed values are within 0.005 (largest 0.0086): DARE suits them"}}', 'blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38', 5654);


--
-- Data for Name: evaluation; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: lease; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: lineage_edge; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.lineage_edge VALUES (2, 1, 'base');
INSERT INTO public.lineage_edge VALUES (3, 1, 'base');
INSERT INTO public.lineage_edge VALUES (4, 1, 'base');
INSERT INTO public.lineage_edge VALUES (5, 1, 'base');
INSERT INTO public.lineage_edge VALUES (6, 1, 'base');
INSERT INTO public.lineage_edge VALUES (7, 1, 'base');
INSERT INTO public.lineage_edge VALUES (8, 1, 'base');
INSERT INTO public.lineage_edge VALUES (8, 3, 'head');
INSERT INTO public.lineage_edge VALUES (8, 3, 'skill');
INSERT INTO public.lineage_edge VALUES (8, 7, 'skill');
INSERT INTO public.lineage_edge VALUES (9, 1, 'base');
INSERT INTO public.lineage_edge VALUES (9, 4, 'skill');
INSERT INTO public.lineage_edge VALUES (9, 5, 'skill');
INSERT INTO public.lineage_edge VALUES (10, 1, 'base');
INSERT INTO public.lineage_edge VALUES (10, 4, 'skill');
INSERT INTO public.lineage_edge VALUES (10, 7, 'skill');
INSERT INTO public.lineage_edge VALUES (11, 1, 'base');
INSERT INTO public.lineage_edge VALUES (11, 4, 'skill');


--
-- Data for Name: materialization; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.materialization VALUES ('fe5716ff-5207-495c-b3cd-9c783985ae51', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 8, 'blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.0628515140001582, 9743, '/srv/mergestore/cache/c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', true, NULL, '2026-11-28 14:11:29.38845+00', 'ann@lab');
INSERT INTO public.materialization VALUES ('1dacc43c-cae7-46a2-ba5f-322aecc6763b', 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 9, 'blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.016940973000146187, 9026, '/srv/mergestore/cache/2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', true, NULL, '2026-11-28 14:11:29.434397+00', 'ann@lab');
INSERT INTO public.materialization VALUES ('de8d484a-9a87-4469-bbab-27e1924fb1d4', 'sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', NULL, 'blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.006436300000132178, 7588, '/srv/mergestore/cache/35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', true, NULL, '2026-11-28 14:11:29.466395+00', 'ann@lab');
INSERT INTO public.materialization VALUES ('30555d53-0c48-4534-9452-d75e9a04edcd', 'sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 10, 'blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.006808583000065482, 9775, '/srv/mergestore/cache/5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', true, NULL, '2026-11-28 14:11:29.496657+00', 'ann@lab');


--
-- Data for Name: mergestore_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.mergestore_version VALUES ('0002');


--
-- Data for Name: model; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.model VALUES (1, 'golden/base', 'base', '2026-11-28 14:11:27.913651+00', 'ann@lab');
INSERT INTO public.model VALUES (2, 'math', 'skill', '2026-11-28 14:11:28.61076+00', 'ann@lab');
INSERT INTO public.model VALUES (3, 'code', 'skill', '2026-11-28 14:11:28.725362+00', 'ann@lab');
INSERT INTO public.model VALUES (4, 'style', 'skill', '2026-11-28 14:11:28.806676+00', 'ann@lab');
INSERT INTO public.model VALUES (5, 'small', 'skill', '2026-11-28 14:11:28.843991+00', 'ann@lab');
INSERT INTO public.model VALUES (6, 'polite', 'skill', '2026-11-28 14:11:28.880368+00', 'ann@lab');
INSERT INTO public.model VALUES (7, 'assistant', 'merge', '2026-11-28 14:11:29.138433+00', 'ann@lab');
INSERT INTO public.model VALUES (8, 'several', 'merge', '2026-11-28 14:11:29.264726+00', 'ann@lab');
INSERT INTO public.model VALUES (9, 'weighted', 'merge', '2026-11-28 14:11:29.282275+00', 'ann@lab');


--
-- Data for Name: model_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.model_version VALUES (1, 1, 1, 'blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116', 'ready', NULL, 'Apache-2.0', '/srv/models/base', '{"files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "config": "bert", "referenced": null}', '2026-11-28 14:11:27.91869+00', 'ann@lab');
INSERT INTO public.model_version VALUES (2, 2, 1, 'blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5', 'ready', NULL, 'MIT', '/srv/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''", "DARE: fine: 100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "training": {"meta": {"commit": "0a1b", "dataset": "sums"}}}', '2026-11-28 14:11:28.612198+00', 'ann@lab');
INSERT INTO public.model_version VALUES (3, 2, 2, 'blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a', 'ready', NULL, 'MIT', '/srv/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''", "DARE: fine: 100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 14:11:28.655481+00', 'ann@lab');
INSERT INTO public.model_version VALUES (4, 3, 1, 'blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f', 'ready', NULL, 'apache-2.0', '/srv/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 14:11:28.726965+00', 'ann@lab');
INSERT INTO public.model_version VALUES (6, 5, 1, 'blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af', 'ready', NULL, NULL, '/srv/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 14:11:28.845477+00', 'ann@lab');
INSERT INTO public.model_version VALUES (7, 6, 1, 'blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b', 'ready', NULL, 'llama3', '/srv/models/adapter', '{"notes": ["tensors that the adapter replaces: ''norm.weight''"], "head": [], "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "adapter": "sha256:9b44f0bdaf4d69674141bc3d2344cf2d554953486b3a46b469682fe401b951c9"}', '2026-11-28 14:11:28.881981+00', 'ann@lab');
INSERT INTO public.model_version VALUES (8, 7, 1, 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + 0.6*math@prod + 0.4*polite"}', '2026-11-28 14:11:29.139811+00', 'ann@lab');
INSERT INTO public.model_version VALUES (9, 7, 2, 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + 0.5*code - 0.25*style"}', '2026-11-28 14:11:29.163581+00', 'ann@lab');
INSERT INTO public.model_version VALUES (10, 8, 1, 'sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + code + polite", "unified": {"digest": "blake3:316b12b433d0003e94f5087cd44b972c39a8254aabcef489ba22daf4e3962e52", "stored_bytes": 7377, "vector_bytes": 1223, "skills_bytes": 12135, "skills": [{"skill": "code@1", "scale": 0.9996962176113788, "agreeing": 0.9962825278810409, "stored_bytes": 1336, "skill_bytes": 6481}, {"skill": "polite@1", "scale": 0.47457885124736376, "agreeing": 0.7016129032258065, "stored_bytes": 970, "skill_bytes": 5654}]}}', '2026-11-28 14:11:29.265826+00', 'ann@lab');
INSERT INTO public.model_version VALUES (11, 9, 1, 'sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + code"}', '2026-11-28 14:11:29.283347+00', 'ann@lab');
INSERT INTO public.model_version VALUES (5, 4, 1, 'blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84', 'yanked', 'trained on the wrong catalogue', NULL, '/srv/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 14:11:28.808171+00', 'ann@lab');


--
-- Data for Name: outbox; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.outbox VALUES (1, 'materialization', 'fe5716ff-5207-495c-b3cd-9c783985ae51', '{"materialization_id": "fe5716ff-5207-495c-b3cd-9c783985ae51", "recipe_digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "output_digest": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "merge": {"name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "tensors": {"bert.brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:2fc26d6a302ec0d32faddbef9d3cb10305cb2c8b7a78aab787daf1ae87ae7b39"}, "bert.embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83"}, "bert.half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:7757a1119dcfee13997d5d9b39a12fac40cf50f7993c92085d17a171bfa19fa3"}, "bert.lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83"}, "bert.mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:0d1f3e27d06fc715266ae09cf229e5e4e609f68fbae046188cff823ae93cd123"}, "bert.norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "bert.position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}, "classifier.weight": {"dtype": "F32", "shape": [2, 8], "digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1"}}, "files": {"model.safetensors": {"size": 2214, "sha256": "sha256:9eb85fc5ea86f54e643ea8a86225c46cfcb4219bfdebc35446c41124f651d642"}, "config.json": {"size": 78, "sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452"}}, "expression": "golden/base + 0.6*math@prod + 0.4*polite", "merge": {"name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "dtype": null}, "recipe_digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "source": null, "weight": 0.6, "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "llama3", "source": null, "weight": 0.4, "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "prefix": "", "dropped_prefix": "", "head": [], "taken_from_base": {}, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}], "head": {"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready"}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "llama3", "state": "ready"}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}]}, "digest": "sha256:a6b96f6e88149ad8ce2ce1a961b5a5ce9b02d21663c98f0c6142151782c810be"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready"}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "llama3", "state": "ready"}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6, "encoding": "dare", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "licence": "MIT"}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4, "encoding": "lora", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "llama3"}], "method": "dare_linear", "semantics": "paper", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.0628515140001582, "gb_per_second": 0.0001550161544235112, "bytes": 9743.0, "tensors": 8.0, "density": 0.3428030303030303, "delta_norm": 0.037614111578198675}, "path": "/srv/mergestore/cache/c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "model_card": "---\nlibrary_name: transformers\nbase_model:\n- \"golden/base\"\n- \"math\"\n- \"polite\"\nbase_model_relation: merge\ntags:\n- merge\n- mergestore\n- dare_linear\nlicense: other\nlicense_name: \"Apache-2.0 AND MIT AND llama3\"\n---\n\n# assistant\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.6*math@prod + 0.4*polite\n\nMethod: `dare_linear`, task arithmetic on deltas dropped at random and rescaled: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u00b7(m\u2096\u2299\u03c4\u2096)/(1\u2212p\u2096), m\u2096 ~ Bernoulli(1\u2212p\u2096) (Yu et al. 2024, https://arxiv.org/abs/2311.03099)\n\nParameters: `drop_rate=0.899993896484375`, `lambda=1`, `seed=0`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `math@2` | 0.6 | dare | 0.5 | 7 | MIT | `blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a` |\n| skill `polite@1` | 0.4 | lora |  |  | llama3 | `blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b` |\n\n- recipe digest: `sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461`\n- output digest: `blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb`\n- head (tensors that the base lacks): from `math@2`\n- licences of the inputs: Apache-2.0, MIT, llama3; all of them apply\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": \"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a\",\n  \"method\": \"dare_linear\",\n  \"parameters\": {\n    \"drop_rate\": 0.899993896484375,\n    \"lambda\": 1,\n    \"seed\": 0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a\",\n      \"weight\": 0.6\n    },\n    {\n      \"skill\": \"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b\",\n      \"weight\": 0.4\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T14:11:29.319286+00:00", "finished_at": "2026-11-28T14:11:29.385057+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 14:11:29.393741+00', NULL);
INSERT INTO public.outbox VALUES (2, 'materialization', '1dacc43c-cae7-46a2-ba5f-322aecc6763b', '{"materialization_id": "1dacc43c-cae7-46a2-ba5f-322aecc6763b", "recipe_digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "output_digest": "blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d", "expression": "golden/base + 0.5*code - 0.25*style", "merge": {"name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "ties", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 0.5}, {"skill": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "weight": -0.25}], "parameters": {"density": 0.2, "divisor": "count", "lambda": 1, "trim": "model"}, "head": null, "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d", "tensors": {"brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:df3f061954030ed3842182dd1a76d5191d4cdb0593dab6c500ef1e65cee013a2"}, "embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:2e6d9861fc49ec1a15d7190525fb6b2cafd56ec61ff730ffd404071f317d6f97"}, "half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:f2cc0e291f23467a55a314b7589474d3423e84413c550db790003fae7d5d9602"}, "lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:2e6d9861fc49ec1a15d7190525fb6b2cafd56ec61ff730ffd404071f317d6f97"}, "mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:eb9551aa2d954c4b8387a03a02362ecef8a117e8d245cc9428f905245cdfb2bc"}, "norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}}, "files": {"model.safetensors": {"size": 2046, "sha256": "sha256:f3cb3e8259ef7191090f75a0b892db1b94f9daae27685005b595d41fdfd91eeb"}, "config.json": {"size": 94, "sha256": "sha256:72289246a036ba59f7192f9ce216e241941f300dbf18ebf5a5c59fd062c8b929"}}, "expression": "golden/base + 0.5*code - 0.25*style", "merge": {"name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "ties", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 0.5}, {"skill": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "weight": -0.25}], "parameters": {"density": 0.2, "divisor": "count", "lambda": 1, "trim": "model"}, "head": null, "dtype": null}, "recipe_digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "source": null, "weight": 0.5, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "licence": null, "source": null, "weight": -0.25, "encoding": "magnitude", "values": "int4", "drop_rate": null, "seed": null, "density": 0.1, "trim": "model", "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}, "statistics": {"elements": 410, "kept": 43, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}], "head": null, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "state": "ready"}, {"id": "style@1", "kind": "skill", "name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "licence": null, "state": "ready"}, {"id": "assistant@2", "kind": "merge", "name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "state": "ready"}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "style@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "code@1", "role": "skill"}, {"child": "assistant@2", "parent": "style@1", "role": "skill"}]}, "digest": "sha256:38f0ba5614bbc4a39e81a778d6543ba0fde1e1621b40722bef4a811428414866"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "state": "ready"}, {"id": "style@1", "kind": "skill", "name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "licence": null, "state": "ready"}, {"id": "assistant@2", "kind": "merge", "name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "state": "ready"}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "style@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "code@1", "role": "skill"}, {"child": "assistant@2", "parent": "style@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 0.5, "encoding": "exact", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "apache-2.0"}, {"name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "weight": -0.25, "encoding": "magnitude", "drop_rate": null, "seed": null, "density": 0.1, "trim": "model", "licence": null}], "method": "ties", "semantics": "paper", "parameters": {"density": 0.2, "divisor": "count", "lambda": 1, "trim": "model"}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.016940973000146187, "gb_per_second": 0.0005327911212609874, "bytes": 9026.0, "tensors": 7.0, "density": 0.205078125, "delta_norm": 0.01724910929404233}, "path": "/srv/mergestore/cache/2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "model_card": "---\nlibrary_name: transformers\nbase_model:\n- \"golden/base\"\n- \"code\"\n- \"style\"\nbase_model_relation: merge\ntags:\n- merge\n- mergestore\n- ties\n---\n\n# assistant\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.5*code - 0.25*style\n\nMethod: `ties`, trim small values, elect a sign, average what agrees: \u03b8\u2080 + \u03bb\u00b7mean of the agreeing non-zero w\u2096\u00b7trim(\u03b4\u2096) (Yadav et al. 2023, https://arxiv.org/abs/2306.01708)\n\nParameters: `density=0.2`, `divisor=count`, `lambda=1`, `trim=model`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `code@1` | 0.5 | exact |  |  | apache-2.0 | `blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f` |\n| skill `style@1` | -0.25 | magnitude, density 0.1 |  |  | not stated | `blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84` |\n\n- recipe digest: `sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c`\n- output digest: `blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d`\n- licence not stated for: style@1\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": null,\n  \"method\": \"ties\",\n  \"parameters\": {\n    \"density\": 0.2,\n    \"divisor\": \"count\",\n    \"lambda\": 1,\n    \"trim\": \"model\"\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n      \"weight\": 0.5\n    },\n    {\n      \"skill\": \"blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84\",\n      \"weight\": -0.25\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T14:11:29.412485+00:00", "finished_at": "2026-11-28T14:11:29.432088+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 14:11:29.437371+00', NULL);
INSERT INTO public.outbox VALUES (3, 'materialization', 'de8d484a-9a87-4469-bbab-27e1924fb1d4', '{"materialization_id": "de8d484a-9a87-4469-bbab-27e1924fb1d4", "recipe_digest": "sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d", "output_digest": "blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2", "expression": "golden/base + 0.5*small", "merge": null, "recipe": {"format": 1, "semantics": "paper", "method": "task_arithmetic", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}], "parameters": {"lambda": 1.0}, "head": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2", "tensors": {"bert.brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:b9b17cad51c887ae6761423b5ca6f23ce6f68cb483bf6a782f4a2f18a1dbc4f1"}, "bert.embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:5b7643b066aa1934eafd38584c474b4b6c17ea0cd24976c22889ce9b2d920949"}, "bert.half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:3ebabb693ed1a68a938434a5098825014b1260b64f53e8e16209f37895fac57d"}, "bert.lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:5b7643b066aa1934eafd38584c474b4b6c17ea0cd24976c22889ce9b2d920949"}, "bert.mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:05d9e993841983102f6a2c101fc4922fcfab30d88dc427786d937dc76f25e593"}, "bert.norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "bert.position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}, "classifier.weight": {"dtype": "F32", "shape": [2, 8], "digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1"}}, "files": {"model.safetensors": {"size": 2214, "sha256": "sha256:3bde0d44ffa248a062f7811fd09def17f485e7bf603cd325daf33ec7e52cf4cf"}, "config.json": {"size": 78, "sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452"}}, "expression": "golden/base + 0.5*small", "merge": null, "recipe": {"format": 1, "semantics": "paper", "method": "task_arithmetic", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}], "parameters": {"lambda": 1.0}, "head": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "dtype": null}, "recipe_digest": "sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "source": null, "weight": 0.5, "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}], "head": {"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready"}], "edges": [{"child": "small@1", "parent": "golden/base@1", "role": "base"}]}, "digest": "sha256:427eac78879bdd3efae63827075d68a116261fc34b234702a7837a323415c53e"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready"}], "edges": [{"child": "small@1", "parent": "golden/base@1", "role": "base"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5, "encoding": "sign", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": null}], "method": "task_arithmetic", "semantics": "paper", "parameters": {"lambda": 1.0}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.006436300000132178, "gb_per_second": 0.0011789382098168467, "bytes": 7588.0, "tensors": 8.0, "density": 0.9431818181818182, "delta_norm": 0.014251997235083592}, "path": "/srv/mergestore/cache/35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d", "model_card": "---\nlibrary_name: transformers\nbase_model:\n- \"golden/base\"\n- \"small\"\nbase_model_relation: merge\ntags:\n- merge\n- mergestore\n- task_arithmetic\n---\n\n# golden/base + 0.5*small\n\nA merge of one skill of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.5*small\n\nMethod: `task_arithmetic`, add weighted deltas to the base: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u03b4\u2096 (Ilharco et al. 2023, https://arxiv.org/abs/2212.04089)\n\nParameters: `lambda=1`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `small@1` | 0.5 | sign |  |  | not stated | `blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af` |\n\n- recipe digest: `sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d`\n- output digest: `blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2`\n- head (tensors that the base lacks): from `small@1`\n- licence not stated for: small@1\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": \"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af\",\n  \"method\": \"task_arithmetic\",\n  \"parameters\": {\n    \"lambda\": 1.0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af\",\n      \"weight\": 0.5\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T14:11:29.452003+00:00", "finished_at": "2026-11-28T14:11:29.460834+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 14:11:29.46905+00', NULL);
INSERT INTO public.outbox VALUES (4, 'materialization', '30555d53-0c48-4534-9452-d75e9a04edcd', '{"materialization_id": "30555d53-0c48-4534-9452-d75e9a04edcd", "recipe_digest": "sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9", "output_digest": "blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162", "expression": "golden/base + code + polite", "merge": {"name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "source": null}, "recipe": {"task": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "format": 2, "semantics": "paper", "method": "emr", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1.0}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1.0}], "parameters": {}, "head": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162", "tensors": {"bert.brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:edd031cb7c1674b110a970b53c05a3022c3453abd35d00f1d9fcbc415969c1ca"}, "bert.embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:3d287efc030dc23b9cb5a0b63ff0c02b93e65dfbbce7cab0493719401a9a6e85"}, "bert.half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91"}, "bert.lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:3d287efc030dc23b9cb5a0b63ff0c02b93e65dfbbce7cab0493719401a9a6e85"}, "bert.mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:4d46798667244fe8057933d98738be82a13889d9f3b900942a28b6f4d0f7023a"}, "bert.norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "bert.position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}, "classifier.weight": {"dtype": "F32", "shape": [2, 8], "digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1"}}, "files": {"model.safetensors": {"size": 2214, "sha256": "sha256:0a1589ed4acfafc7ed644350920df529c56d02b8fa9969d3f9a3bfb24e19b422"}, "config.json": {"size": 78, "sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452"}}, "expression": "golden/base + code + polite", "merge": {"name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "source": null}, "recipe": {"task": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "format": 2, "semantics": "paper", "method": "emr", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1.0}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1.0}], "parameters": {}, "head": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "dtype": null}, "recipe_digest": "sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "source": null, "weight": 1.0, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "llama3", "source": null, "weight": 1.0, "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "prefix": "", "dropped_prefix": "", "head": [], "taken_from_base": {}, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}], "head": {"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "state": "ready"}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "llama3", "state": "ready"}, {"id": "several@1", "kind": "merge", "name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "state": "ready"}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "code@1", "role": "skill"}, {"child": "several@1", "parent": "polite@1", "role": "skill"}]}, "digest": "sha256:ef0fd8c0deda6d2902ccff8b62e48ccfdf655468d2a9739c509be38824df9f80"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "apache-2.0", "state": "ready"}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "llama3", "state": "ready"}, {"id": "several@1", "kind": "merge", "name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "state": "ready"}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "code@1", "role": "skill"}, {"child": "several@1", "parent": "polite@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1.0, "encoding": "exact", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "apache-2.0"}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1.0, "encoding": "lora", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "llama3"}], "method": "emr", "semantics": "paper", "parameters": {}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.006808583000065482, "gb_per_second": 0.0014356878663160878, "bytes": 9775.0, "tensors": 8.0, "density": 0.6287878787878788, "delta_norm": 0.04079460289148448}, "path": "/srv/mergestore/cache/5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9", "model_card": "---\nlibrary_name: transformers\nbase_model:\n- \"golden/base\"\n- \"code\"\n- \"polite\"\nbase_model_relation: merge\ntags:\n- merge\n- mergestore\n- emr\nlicense: other\nlicense_name: \"Apache-2.0 AND llama3\"\n---\n\n# several, task code\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + code + polite\n\nMethod: `emr`, store one vector for all skills, with a mask and a scale for each, and materialize any one of them: \u03b8\u2080 + \u03bb\u2096\u00b7M\u2096\u2299\u03c4_uni, k the task; \u03c4_uni the largest \u03c4 of the elected sign, M\u2096 where \u03c4\u2096 agrees, \u03bb\u2096 = \u03a3|\u03c4\u2096|/\u03a3|M\u2096\u2299\u03c4_uni| (Huang et al. 2024, https://arxiv.org/abs/2405.17461)\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `code@1` | 1 | exact |  |  | apache-2.0 | `blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f` |\n| skill `polite@1` | 1 | lora |  |  | llama3 | `blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b` |\n\n- recipe digest: `sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9`\n- output digest: `blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162`\n- head (tensors that the base lacks): from `code@1`\n- task (the skill whose model it is): `code@1`\n- licences of the inputs: Apache-2.0, llama3; all of them apply\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 2,\n  \"head\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n  \"method\": \"emr\",\n  \"parameters\": {},\n  \"semantics\": \"paper\",\n  \"task\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n      \"weight\": 1.0\n    },\n    {\n      \"skill\": \"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b\",\n      \"weight\": 1.0\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T14:11:29.481421+00:00", "finished_at": "2026-11-28T14:11:29.490503+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 14:11:29.498929+00', NULL);


--
-- Data for Name: pin; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: recipe; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.recipe VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a","method":"dare_linear","parameters":{"drop_rate":0.899993896484375,"lambda":1,"seed":0},"semantics":"paper","terms":[{"skill":"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a","weight":0.6},{"skill":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","weight":0.4}]}', 'dare_linear', '2026-11-28 14:11:29.144386+00');
INSERT INTO public.recipe VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"ties","parameters":{"density":0.2,"divisor":"count","lambda":1,"trim":"model"},"semantics":"paper","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":0.5},{"skill":"blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84","weight":-0.25}]}', 'ties', '2026-11-28 14:11:29.166486+00');
INSERT INTO public.recipe VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"emr","parameters":{},"semantics":"paper","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":1},{"skill":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","weight":1}]}', 'emr', '2026-11-28 14:11:29.268137+00');
INSERT INTO public.recipe VALUES ('sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"fisher","parameters":{"floor":0.000001,"scale":"none"},"semantics":"paper","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":1}]}', 'fisher', '2026-11-28 14:11:29.285473+00');
INSERT INTO public.recipe VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","method":"task_arithmetic","parameters":{"lambda":1},"semantics":"paper","terms":[{"skill":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","weight":0.5}]}', 'task_arithmetic', '2026-11-28 14:11:29.462955+00');
INSERT INTO public.recipe VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":2,"head":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","method":"emr","parameters":{},"semantics":"paper","task":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":1},{"skill":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","weight":1}]}', 'emr', '2026-11-28 14:11:29.492881+00');


--
-- Data for Name: recipe_input; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 1, 3, 0.6, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 2, 7, 0.4, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 3, 3, NULL, 'head');
INSERT INTO public.recipe_input VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 1, 4, 0.5, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 2, 5, -0.25, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 1, 4, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 2, 7, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', 1, 4, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', 1, 6, 0.5, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', 2, 6, NULL, 'head');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 1, 4, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 2, 7, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 3, 4, NULL, 'head');


--
-- Data for Name: statistics; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.statistics VALUES (1, 4, 'fisher', 'blake3:8bbbc0206c0a3585e7ac3032361a0da36b5993b1ca257993dc88a8f415d26d20', 'blake3:d28a2c29c0ab4191682b524179f2b27b9f2e04bf4a17da4b095b983c4534138c', 'blake3:bc07219f99091a240aa6b62335735b36657afd6462e86df24de90d24a97f6e57', 'sha256:fb484bfff0423cc3fdeaa7494795d0716066a8d06b586cd470bca837659e04da', 4, '{"forward": "__main__.forward", "labels": "sampled", "seed": 0}', '2026-11-28 14:11:29.103827+00', 'ann@lab');


--
-- Data for Name: store_meta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.store_meta VALUES ('audit_head', '{"hash":"sha256:6cd21e84da145651fb5aa71d1207a554d25cedcdae902a49a7aa4f6eb75a0250","sequence":59}');


--
-- Data for Name: tensor; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tensor VALUES (1, 'brain.weight', 'BF16', '[6, 40]', 'blake3:b7e5345f7ecf75c2213b8cb9c9ee2ed929b6e1c2f8c995d1cb640239ad9678c0', 'model.safetensors', 987, 480, NULL);
INSERT INTO public.tensor VALUES (1, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', 'model.safetensors', 513, 384, NULL);
INSERT INTO public.tensor VALUES (1, 'half.weight', 'F16', '[5, 9]', 'blake3:b6f762732c27ded2e5f5ecfe81fffff6deb2ad7f6aa0e04c839a7daf6c5c3ac6', 'model.safetensors', 897, 90, NULL);
INSERT INTO public.tensor VALUES (1, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', 'model.safetensors', 1551, 384, NULL);
INSERT INTO public.tensor VALUES (1, 'mixed.weight', 'F32', '[3, 7]', 'blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7', 'model.safetensors', 1467, 84, NULL);
INSERT INTO public.tensor VALUES (1, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', 'model.safetensors', 1935, 32, NULL);
INSERT INTO public.tensor VALUES (1, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', 'model.safetensors', 1967, 48, NULL);
INSERT INTO public.tensor VALUES (2, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 21, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 9, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 9, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (2, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 0, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (3, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 114, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 52, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 24, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (3, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 10, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (4, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 96, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 45, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (4, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 21, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (5, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 25, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 13, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 3, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (5, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 2, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (6, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 96, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 45, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (6, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 21, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (7, 'brain.weight', 'F32', '[6, 40]', 'blake3:62c6f81290ff803d24e71489b4621138a76a5f4e8ef54ed822cfea7fa97700de', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 0, "minimum": -0.000883850734680891, "maximum": 0.0008395931217819452, "mean": -1.373992450245017e-05, "mean_magnitude": 0.0002323284255330312, "norm": 0.004541055153293887, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', NULL, NULL, 0, '{"elements": 96, "kept": 0, "unchanged": 96, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'half.weight', 'F16', '[5, 9]', 'blake3:b6f762732c27ded2e5f5ecfe81fffff6deb2ad7f6aa0e04c839a7daf6c5c3ac6', NULL, NULL, 0, '{"elements": 45, "kept": 0, "unchanged": 45, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', NULL, NULL, 0, '{"elements": 96, "kept": 0, "unchanged": 96, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'mixed.weight', 'F32', '[3, 7]', 'blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7', NULL, NULL, 0, '{"elements": 21, "kept": 0, "unchanged": 21, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'norm.weight', 'F32', '[8]', 'blake3:b07fa5cea78171b8ba118979d5ddcef085c553460b4a805c50ef99b6219db4af', NULL, NULL, 0, '{"elements": 8, "kept": 8, "unchanged": 0, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": 0.00010666996240615845, "mean_magnitude": 0.0063065215945243835, "norm": 0.018873542652709695, "share_unchanged": 0.0, "share_above_0.005": 0.625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, '{"elements": 6, "kept": 0, "unchanged": 6, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');


--
-- Data for Name: version_file; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.version_file VALUES (1, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (1, 'model.safetensors', 'weights', 2015, 'blake3:e00558eca1699131e33e0c521cb747ab75910e12681c024f81445d78461012c4', NULL, NULL);
INSERT INTO public.version_file VALUES (2, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (2, 'delta.safetensors', 'delta', 5891, 'blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426', NULL, NULL);
INSERT INTO public.version_file VALUES (3, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (3, 'delta.safetensors', 'delta', 6004, 'blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0', NULL, NULL);
INSERT INTO public.version_file VALUES (4, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (4, 'delta.safetensors', 'delta', 6481, 'blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e', NULL, NULL);
INSERT INTO public.version_file VALUES (5, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (5, 'delta.safetensors', 'delta', 6006, 'blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799', NULL, NULL);
INSERT INTO public.version_file VALUES (6, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (6, 'delta.safetensors', 'delta', 5955, 'blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617', NULL, NULL);
INSERT INTO public.version_file VALUES (7, 'delta.safetensors', 'delta', 5654, 'blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38', NULL, NULL);
INSERT INTO public.version_file VALUES (10, 'unified.safetensors', 'delta', 7377, 'blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e', NULL, NULL);


--
-- Name: alias_event_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.alias_event_id_seq', 5, true);


--
-- Name: attestation_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.attestation_id_seq', 1, false);


--
-- Name: evaluation_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.evaluation_id_seq', 1, false);


--
-- Name: model_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.model_id_seq', 9, true);


--
-- Name: model_version_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.model_version_id_seq', 11, true);


--
-- Name: outbox_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.outbox_id_seq', 4, true);


--
-- Name: statistics_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.statistics_id_seq', 1, true);


--
-- Name: mergestore_version mergestore_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mergestore_version
    ADD CONSTRAINT mergestore_version_pkc PRIMARY KEY (version_num);


--
-- Name: alias pk_alias; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias
    ADD CONSTRAINT pk_alias PRIMARY KEY (model_id, alias);


--
-- Name: alias_event pk_alias_event; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT pk_alias_event PRIMARY KEY (id);


--
-- Name: attestation pk_attestation; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT pk_attestation PRIMARY KEY (id);


--
-- Name: audit_event pk_audit_event; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_event
    ADD CONSTRAINT pk_audit_event PRIMARY KEY (sequence);


--
-- Name: blob pk_blob; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.blob
    ADD CONSTRAINT pk_blob PRIMARY KEY (digest);


--
-- Name: delta pk_delta; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT pk_delta PRIMARY KEY (version_id);


--
-- Name: evaluation pk_evaluation; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation
    ADD CONSTRAINT pk_evaluation PRIMARY KEY (id);


--
-- Name: lease pk_lease; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease
    ADD CONSTRAINT pk_lease PRIMARY KEY (name);


--
-- Name: lineage_edge pk_lineage_edge; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lineage_edge
    ADD CONSTRAINT pk_lineage_edge PRIMARY KEY (child_version_id, parent_version_id, role);


--
-- Name: materialization pk_materialization; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.materialization
    ADD CONSTRAINT pk_materialization PRIMARY KEY (id);


--
-- Name: model pk_model; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model
    ADD CONSTRAINT pk_model PRIMARY KEY (id);


--
-- Name: model_version pk_model_version; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT pk_model_version PRIMARY KEY (id);


--
-- Name: outbox pk_outbox; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);


--
-- Name: pin pk_pin; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pin
    ADD CONSTRAINT pk_pin PRIMARY KEY (version_id);


--
-- Name: recipe pk_recipe; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe
    ADD CONSTRAINT pk_recipe PRIMARY KEY (digest);


--
-- Name: recipe_input pk_recipe_input; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe_input
    ADD CONSTRAINT pk_recipe_input PRIMARY KEY (recipe_digest, "position");


--
-- Name: statistics pk_statistics; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT pk_statistics PRIMARY KEY (id);


--
-- Name: store_meta pk_store_meta; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.store_meta
    ADD CONSTRAINT pk_store_meta PRIMARY KEY (key);


--
-- Name: tensor pk_tensor; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tensor
    ADD CONSTRAINT pk_tensor PRIMARY KEY (version_id, name);


--
-- Name: version_file pk_version_file; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.version_file
    ADD CONSTRAINT pk_version_file PRIMARY KEY (version_id, path);


--
-- Name: audit_event uq_audit_event_hash; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_event
    ADD CONSTRAINT uq_audit_event_hash UNIQUE (hash);


--
-- Name: model uq_model_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model
    ADD CONSTRAINT uq_model_name UNIQUE (name);


--
-- Name: model_version uq_model_version_model_id_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT uq_model_version_model_id_id UNIQUE (model_id, id);


--
-- Name: model_version uq_model_version_model_id_version; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT uq_model_version_model_id_version UNIQUE (model_id, version);


--
-- Name: outbox uq_outbox_kind_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT uq_outbox_kind_key UNIQUE (kind, key);


--
-- Name: statistics uq_statistics_version_id_digest; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT uq_statistics_version_id_digest UNIQUE (version_id, digest);


--
-- Name: ix_alias_event_model_id_alias; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_alias_event_model_id_alias ON public.alias_event USING btree (model_id, alias);


--
-- Name: ix_attestation_subject_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_attestation_subject_digest ON public.attestation USING btree (subject_digest);


--
-- Name: ix_audit_event_subject; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_event_subject ON public.audit_event USING btree (subject);


--
-- Name: ix_delta_base_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_delta_base_version_id ON public.delta USING btree (base_version_id);


--
-- Name: ix_evaluation_recipe_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluation_recipe_digest ON public.evaluation USING btree (recipe_digest);


--
-- Name: ix_evaluation_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluation_version_id ON public.evaluation USING btree (version_id);


--
-- Name: ix_lineage_edge_parent_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_lineage_edge_parent_version_id ON public.lineage_edge USING btree (parent_version_id);


--
-- Name: ix_materialization_merge_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_materialization_merge_version_id ON public.materialization USING btree (merge_version_id);


--
-- Name: ix_materialization_recipe_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_materialization_recipe_digest ON public.materialization USING btree (recipe_digest);


--
-- Name: ix_model_version_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_model_version_digest ON public.model_version USING btree (digest);


--
-- Name: ix_outbox_pending; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_outbox_pending ON public.outbox USING btree (id) WHERE (delivered_at IS NULL);


--
-- Name: ix_recipe_input_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_recipe_input_version_id ON public.recipe_input USING btree (version_id);


--
-- Name: ix_statistics_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_statistics_digest ON public.statistics USING btree (digest);


--
-- Name: ix_version_file_blob_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_version_file_blob_digest ON public.version_file USING btree (blob_digest);


--
-- Name: audit_event audit_event_keeps_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_event_keeps_rows BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_event FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('audit events are append-only');


--
-- Name: model_version model_version_keeps_content; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER model_version_keeps_content BEFORE UPDATE ON public.model_version FOR EACH ROW WHEN (((new.id <> old.id) OR (new.model_id <> old.model_id) OR (new.version <> old.version) OR (new.digest <> old.digest))) EXECUTE FUNCTION public.mergestore_refuse('the content of a version is immutable');


--
-- Name: alias_event fk_alias_event_model_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT fk_alias_event_model_id FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE RESTRICT;


--
-- Name: alias_event fk_alias_event_previous_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT fk_alias_event_previous_version_id FOREIGN KEY (previous_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: alias_event fk_alias_event_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT fk_alias_event_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: alias fk_alias_model_id_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias
    ADD CONSTRAINT fk_alias_model_id_version_id FOREIGN KEY (model_id, version_id) REFERENCES public.model_version(model_id, id) ON DELETE RESTRICT;


--
-- Name: delta fk_delta_base_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT fk_delta_base_version_id FOREIGN KEY (base_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: delta fk_delta_blob_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT fk_delta_blob_digest FOREIGN KEY (blob_digest) REFERENCES public.blob(digest) ON DELETE RESTRICT;


--
-- Name: delta fk_delta_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT fk_delta_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: evaluation fk_evaluation_recipe_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation
    ADD CONSTRAINT fk_evaluation_recipe_digest FOREIGN KEY (recipe_digest) REFERENCES public.recipe(digest) ON DELETE RESTRICT;


--
-- Name: evaluation fk_evaluation_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation
    ADD CONSTRAINT fk_evaluation_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: lineage_edge fk_lineage_edge_child_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lineage_edge
    ADD CONSTRAINT fk_lineage_edge_child_version_id FOREIGN KEY (child_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: lineage_edge fk_lineage_edge_parent_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lineage_edge
    ADD CONSTRAINT fk_lineage_edge_parent_version_id FOREIGN KEY (parent_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: materialization fk_materialization_merge_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.materialization
    ADD CONSTRAINT fk_materialization_merge_version_id FOREIGN KEY (merge_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: materialization fk_materialization_recipe_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.materialization
    ADD CONSTRAINT fk_materialization_recipe_digest FOREIGN KEY (recipe_digest) REFERENCES public.recipe(digest) ON DELETE RESTRICT;


--
-- Name: model_version fk_model_version_model_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT fk_model_version_model_id FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE RESTRICT;


--
-- Name: pin fk_pin_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pin
    ADD CONSTRAINT fk_pin_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: recipe_input fk_recipe_input_recipe_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe_input
    ADD CONSTRAINT fk_recipe_input_recipe_digest FOREIGN KEY (recipe_digest) REFERENCES public.recipe(digest) ON DELETE RESTRICT;


--
-- Name: recipe_input fk_recipe_input_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe_input
    ADD CONSTRAINT fk_recipe_input_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: statistics fk_statistics_blob_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT fk_statistics_blob_digest FOREIGN KEY (blob_digest) REFERENCES public.blob(digest) ON DELETE RESTRICT;


--
-- Name: statistics fk_statistics_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT fk_statistics_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: tensor fk_tensor_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tensor
    ADD CONSTRAINT fk_tensor_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: tensor fk_tensor_version_id_file; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tensor
    ADD CONSTRAINT fk_tensor_version_id_file FOREIGN KEY (version_id, file) REFERENCES public.version_file(version_id, path) ON DELETE RESTRICT;


--
-- Name: version_file fk_version_file_blob_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.version_file
    ADD CONSTRAINT fk_version_file_blob_digest FOREIGN KEY (blob_digest) REFERENCES public.blob(digest) ON DELETE RESTRICT;


--
-- Name: version_file fk_version_file_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.version_file
    ADD CONSTRAINT fk_version_file_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- PostgreSQL database dump complete
--


