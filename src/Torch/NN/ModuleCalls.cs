namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>A module whose call runs the hooks registered on it around forward.</summary>
        public class HookableModule<TPreHook, TPostHook> : Module
        {
            protected Dictionary<string, TPreHook> pre_hooks = [];
            protected Dictionary<string, TPostHook> post_hooks = [];
            protected Dictionary<string, Action<Module>> module_pre_hooks = [];
            protected Dictionary<string, Action<Module>> module_post_hooks = [];
            private int hooks;

            protected HookableModule(string name) : base(name)
            {
            }

            /// <summary>The hook sees the result of forward and may replace it; null keeps it.</summary>
            public HookRemover register_forward_hook(TPostHook hook) => Add(post_hooks, hook);

            public HookRemover register_forward_hook(Action<Module> hook) => Add(module_post_hooks, hook);

            /// <summary>The hook sees the input and may replace it; null keeps it.</summary>
            public HookRemover register_forward_pre_hook(TPreHook hook) => Add(pre_hooks, hook);

            public HookRemover register_forward_pre_hook(Action<Module> hook) => Add(module_pre_hooks, hook);

            private HookRemover Add<T>(Dictionary<string, T> to, T hook)
            {
                var key = (++hooks).ToString(System.Globalization.CultureInfo.InvariantCulture);
                to[key] = hook;
                return new HookRemover(this, key);
            }

            public class HookRemover(HookableModule<TPreHook, TPostHook> module, string key)
            {
                public void remove()
                {
                    module.pre_hooks.Remove(key);
                    module.post_hooks.Remove(key);
                    module.module_pre_hooks.Remove(key);
                    module.module_post_hooks.Remove(key);
                }
            }
        }

        public interface IModule<T, TResult>
        {
            TResult call(T input1);
        }

        /// <summary>A module of 1 input: override forward, use call.</summary>
        public abstract class Module<T, TResult> : HookableModule<Func<Module<T, TResult>, T, T>, Func<Module<T, TResult>, T, TResult, TResult>>, IModule<T, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T input);

            /// <summary>Runs forward and the hooks around it.</summary>
            public TResult call(T input)
            {
                if (module_pre_hooks.Count > 0) foreach (var hook in module_pre_hooks.Values.ToArray()) hook(this);
                if (pre_hooks.Count > 0) foreach (var hook in pre_hooks.Values.ToArray()) input = hook(this, input) ?? input;
                var result = forward(input);
                if (post_hooks.Count > 0) foreach (var hook in post_hooks.Values.ToArray()) result = hook(this, input, result) ?? result;
                if (module_post_hooks.Count > 0) foreach (var hook in module_post_hooks.Values.ToArray()) hook(this);
                return result;
            }
        }

        public interface IModule<T1, T2, TResult>
        {
            TResult call(T1 input1, T2 input2);
        }

        /// <summary>A module of 2 inputs: override forward, use call.</summary>
        public abstract class Module<T1, T2, TResult> : HookableModule<Func<Module<T1, T2, TResult>, T1, T2, (T1, T2)?>, Func<Module<T1, T2, TResult>, T1, T2, TResult, TResult>>, IModule<T1, T2, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2);

            /// <summary>Runs forward and the hooks around it.</summary>
            public TResult call(T1 input1, T2 input2)
            {
                if (module_pre_hooks.Count > 0) foreach (var hook in module_pre_hooks.Values.ToArray()) hook(this);
                if (pre_hooks.Count > 0)
                    foreach (var hook in pre_hooks.Values.ToArray())
                        if (hook(this, input1, input2) is { } replaced) (input1, input2) = replaced;
                var result = forward(input1, input2);
                if (post_hooks.Count > 0) foreach (var hook in post_hooks.Values.ToArray()) result = hook(this, input1, input2, result) ?? result;
                if (module_post_hooks.Count > 0) foreach (var hook in module_post_hooks.Values.ToArray()) hook(this);
                return result;
            }
        }

        public interface IModule<T1, T2, T3, TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3);
        }

        /// <summary>A module of 3 inputs: override forward, use call.</summary>
        public abstract class Module<T1, T2, T3, TResult> : HookableModule<Func<Module<T1, T2, T3, TResult>, T1, T2, T3, (T1, T2, T3)?>, Func<Module<T1, T2, T3, TResult>, T1, T2, T3, TResult, TResult>>, IModule<T1, T2, T3, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2, T3 input3);

            /// <summary>Runs forward and the hooks around it.</summary>
            public TResult call(T1 input1, T2 input2, T3 input3)
            {
                if (module_pre_hooks.Count > 0) foreach (var hook in module_pre_hooks.Values.ToArray()) hook(this);
                if (pre_hooks.Count > 0)
                    foreach (var hook in pre_hooks.Values.ToArray())
                        if (hook(this, input1, input2, input3) is { } replaced) (input1, input2, input3) = replaced;
                var result = forward(input1, input2, input3);
                if (post_hooks.Count > 0) foreach (var hook in post_hooks.Values.ToArray()) result = hook(this, input1, input2, input3, result) ?? result;
                if (module_post_hooks.Count > 0) foreach (var hook in module_post_hooks.Values.ToArray()) hook(this);
                return result;
            }
        }

        public interface IModule<T1, T2, T3, T4, TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3, T4 input4);
        }

        /// <summary>A module of 4 inputs: override forward, use call.</summary>
        public abstract class Module<T1, T2, T3, T4, TResult> : HookableModule<Func<Module<T1, T2, T3, T4, TResult>, T1, T2, T3, T4, (T1, T2, T3, T4)?>, Func<Module<T1, T2, T3, T4, TResult>, T1, T2, T3, T4, TResult, TResult>>, IModule<T1, T2, T3, T4, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2, T3 input3, T4 input4);

            /// <summary>Runs forward and the hooks around it.</summary>
            public TResult call(T1 input1, T2 input2, T3 input3, T4 input4)
            {
                if (module_pre_hooks.Count > 0) foreach (var hook in module_pre_hooks.Values.ToArray()) hook(this);
                if (pre_hooks.Count > 0)
                    foreach (var hook in pre_hooks.Values.ToArray())
                        if (hook(this, input1, input2, input3, input4) is { } replaced) (input1, input2, input3, input4) = replaced;
                var result = forward(input1, input2, input3, input4);
                if (post_hooks.Count > 0) foreach (var hook in post_hooks.Values.ToArray()) result = hook(this, input1, input2, input3, input4, result) ?? result;
                if (module_post_hooks.Count > 0) foreach (var hook in module_post_hooks.Values.ToArray()) hook(this);
                return result;
            }
        }

        public interface IModule<T1, T2, T3, T4, T5, TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5);
        }

        /// <summary>A module of 5 inputs: override forward, use call.</summary>
        public abstract class Module<T1, T2, T3, T4, T5, TResult> : HookableModule<Func<Module<T1, T2, T3, T4, T5, TResult>, T1, T2, T3, T4, T5, (T1, T2, T3, T4, T5)?>, Func<Module<T1, T2, T3, T4, T5, TResult>, T1, T2, T3, T4, T5, TResult, TResult>>, IModule<T1, T2, T3, T4, T5, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5);

            /// <summary>Runs forward and the hooks around it.</summary>
            public TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5)
            {
                if (module_pre_hooks.Count > 0) foreach (var hook in module_pre_hooks.Values.ToArray()) hook(this);
                if (pre_hooks.Count > 0)
                    foreach (var hook in pre_hooks.Values.ToArray())
                        if (hook(this, input1, input2, input3, input4, input5) is { } replaced) (input1, input2, input3, input4, input5) = replaced;
                var result = forward(input1, input2, input3, input4, input5);
                if (post_hooks.Count > 0) foreach (var hook in post_hooks.Values.ToArray()) result = hook(this, input1, input2, input3, input4, input5, result) ?? result;
                if (module_post_hooks.Count > 0) foreach (var hook in module_post_hooks.Values.ToArray()) hook(this);
                return result;
            }
        }

        public interface IModule<T1, T2, T3, T4, T5, T6, TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5, T6 input6);
        }

        /// <summary>A module of 6 inputs: override forward, use call.</summary>
        public abstract class Module<T1, T2, T3, T4, T5, T6, TResult> : HookableModule<Func<Module<T1, T2, T3, T4, T5, T6, TResult>, T1, T2, T3, T4, T5, T6, (T1, T2, T3, T4, T5, T6)?>, Func<Module<T1, T2, T3, T4, T5, T6, TResult>, T1, T2, T3, T4, T5, T6, TResult, TResult>>, IModule<T1, T2, T3, T4, T5, T6, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5, T6 input6);

            /// <summary>Runs forward and the hooks around it.</summary>
            public TResult call(T1 input1, T2 input2, T3 input3, T4 input4, T5 input5, T6 input6)
            {
                if (module_pre_hooks.Count > 0) foreach (var hook in module_pre_hooks.Values.ToArray()) hook(this);
                if (pre_hooks.Count > 0)
                    foreach (var hook in pre_hooks.Values.ToArray())
                        if (hook(this, input1, input2, input3, input4, input5, input6) is { } replaced) (input1, input2, input3, input4, input5, input6) = replaced;
                var result = forward(input1, input2, input3, input4, input5, input6);
                if (post_hooks.Count > 0) foreach (var hook in post_hooks.Values.ToArray()) result = hook(this, input1, input2, input3, input4, input5, input6, result) ?? result;
                if (module_post_hooks.Count > 0) foreach (var hook in module_post_hooks.Values.ToArray()) hook(this);
                return result;
            }
        }
    }
}
