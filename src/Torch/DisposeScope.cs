namespace TorchSharp;

/// <summary>
/// Owns the tensors made while it is the innermost scope of its thread and frees them with itself. Tensors that must
/// outlive it are moved to the enclosing scope or detached.
/// </summary>
public sealed class DisposeScope : IDisposable
{
    private readonly DisposeScopeManager.ThreadState thread;
    private readonly List<torch.Tensor> owned = [];
    private bool closed;

    internal DisposeScope(DisposeScopeManager.ThreadState thread)
    {
        this.thread = thread;
        OuterScope = thread.Current;
        thread.Current = this;
    }

    internal DisposeScope? OuterScope { get; }

    /// <summary>The tensors that this scope owns now.</summary>
    public IReadOnlyList<IDisposable> DisposablesView => owned;

    /// <summary>How many tensors this scope owns now.</summary>
    public int DisposablesCount => owned.Count;

    /// <summary>Takes ownership of a tensor, from another scope where it has one.</summary>
    /// <exception cref="InvalidOperationException">The object is not a tensor.</exception>
    public void Attach(IDisposable disposable)
    {
        var tensor = TensorOf(disposable);
        if (tensor.OwningScope == this) return;
        tensor.OwningScope?.Forget(tensor);
        Add(tensor);
        thread.Statistics.Attached++;
    }

    public void Attach(params IDisposable[] disposables) => Attach((IEnumerable<IDisposable>)disposables);

    public IReadOnlyList<IDisposable> Attach(IEnumerable<IDisposable> disposables)
    {
        var list = disposables.ToList();
        foreach (var d in list) Attach(d);
        return list;
    }

    public bool Contains(IDisposable disposable) => disposable is torch.Tensor t && t.OwningScope == this;

    /// <summary>Gives up ownership: nobody but the caller disposes the tensor then. Returns it.</summary>
    public T Detach<T>(T disposable) where T : IDisposable
    {
        if (Contains(disposable))
        {
            Forget(TensorOf(disposable));
            thread.Statistics.Detached++;
        }
        return disposable;
    }

    public (T1 first, T2 second) Detach<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (Detach(first), Detach(second));

    public (T1 first, T2 second, T3 third) Detach<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable => (Detach(first), Detach(second), Detach(third));

    public void Detach(params IDisposable[] disposables) => Detach((IEnumerable<IDisposable>)disposables);

    public void Detach(IEnumerable<IDisposable> disposables)
    {
        foreach (var d in disposables.ToList()) Detach<IDisposable>(d);
    }

    /// <summary>Disposes what is still owned and closes the scope.</summary>
    public void Dispose()
    {
        if (closed) return;
        closed = true;
        DisposeEverything();
        if (thread.Current == this) thread.Current = OuterScope;
        else thread.Unlink(this);
    }

    /// <summary>Disposes what is owned now and stays open.</summary>
    public void DisposeEverything()
    {
        while (owned.Count > 0) owned[^1].Dispose();
    }

    public void DisposeEverythingBut(IEnumerable<IDisposable> inKeep)
    {
        var keep = inKeep.ToHashSet<IDisposable>(System.Collections.Generic.ReferenceEqualityComparer.Instance);
        foreach (var tensor in owned.ToArray())
            if (!keep.Contains(tensor)) tensor.Dispose();
    }

    public void DisposeEverythingBut(params IDisposable[] keep) => DisposeEverythingBut((IEnumerable<IDisposable>)keep);

    public T DisposeEverythingBut<T>(T keep) where T : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[keep]);
        return keep;
    }

    public (T1 first, T2 second) DisposeEverythingBut<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[first, second]);
        return (first, second);
    }

    public (T1 first, T2 second, T3 third) DisposeEverythingBut<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable
    {
        DisposeEverythingBut((IEnumerable<IDisposable>)[first, second, third]);
        return (first, second, third);
    }

    /// <summary>Forgets a tensor that was disposed by its own hand.</summary>
    public void MarkAsDisposed(IDisposable disposable)
    {
        if (Contains(disposable)) Forget(TensorOf(disposable));
    }

    public T MoveToOther<T>(DisposeScope? scope, T disposable) where T : IDisposable
    {
        if (scope is null) return Detach(disposable);
        if (Contains(disposable))
        {
            var tensor = TensorOf(disposable);
            Forget(tensor);
            scope.Add(tensor);
        }
        return disposable;
    }

    public (T1 first, T2 second) MoveToOther<T1, T2>(DisposeScope? scope, T1 first, T2 second)
        where T1 : IDisposable where T2 : IDisposable => (MoveToOther(scope, first), MoveToOther(scope, second));

    public (T1 first, T2 second, T3 third) MoveToOther<T1, T2, T3>(DisposeScope? scope, T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable =>
        (MoveToOther(scope, first), MoveToOther(scope, second), MoveToOther(scope, third));

    public void MoveToOther(DisposeScope? scope, params IDisposable[] disposables) => MoveToOther(scope, (IEnumerable<IDisposable>)disposables);

    public void MoveToOther(DisposeScope? scope, IEnumerable<IDisposable> disposables)
    {
        foreach (var d in disposables.ToList()) MoveToOther<IDisposable>(scope, d);
    }

    /// <summary>Moves a tensor to the enclosing scope; without one it is detached. Returns it.</summary>
    public T MoveToOuter<T>(T disposable) where T : IDisposable => MoveToOther(OuterScope, disposable);

    public (T1 first, T2 second) MoveToOuter<T1, T2>(T1 first, T2 second) where T1 : IDisposable where T2 : IDisposable =>
        (MoveToOuter(first), MoveToOuter(second));

    public (T1 first, T2 second, T3 third) MoveToOuter<T1, T2, T3>(T1 first, T2 second, T3 third)
        where T1 : IDisposable where T2 : IDisposable where T3 : IDisposable => (MoveToOuter(first), MoveToOuter(second), MoveToOuter(third));

    public void MoveToOuter(params IDisposable[] disposables) => MoveToOuter((IEnumerable<IDisposable>)disposables);

    public void MoveToOuter(IEnumerable<IDisposable> disposables) => MoveToOther(OuterScope, disposables);

    internal void Add(torch.Tensor tensor)
    {
        tensor.OwningScope = this;
        tensor.ScopeSlot = owned.Count;
        owned.Add(tensor);
    }

    // Order does not matter, so the last one takes the freed place: leaving a scope costs the same however full it is.
    internal void Forget(torch.Tensor tensor)
    {
        int slot = tensor.ScopeSlot, last = owned.Count - 1;
        if (slot != last)
        {
            owned[slot] = owned[last];
            owned[slot].ScopeSlot = slot;
        }
        owned.RemoveAt(last);
        tensor.OwningScope = null;
    }

    private static torch.Tensor TensorOf(IDisposable disposable) => disposable as torch.Tensor ?? throw new InvalidOperationException(
        $"A dispose scope owns tensors only, not a {disposable?.GetType().Name ?? "null"}.");
}

/// <summary>The dispose scopes of the calling thread and what was counted on it.</summary>
public class DisposeScopeManager
{
    [ThreadStatic]
    private static ThreadState? state;

    /// <summary>The counts of the calling thread.</summary>
    public static ThreadDisposeScopeStatistics Statistics => State.Public;

    internal static ThreadState State => state ??= new ThreadState();

    internal sealed class ThreadState
    {
        internal DisposeScope? Current;
        internal readonly LifetimeStatistics Statistics = new();
        internal readonly ThreadDisposeScopeStatistics Public;

        internal ThreadState() => Public = new ThreadDisposeScopeStatistics(Statistics);

        // A scope closed out of order: those inside it stay on top, and none of them may lead back to it.
        internal void Unlink(DisposeScope closed)
        {
            for (var scope = Current; scope is not null; scope = scope.OuterScope)
                if (scope == closed) { Current = closed.OuterScope; return; }
        }
    }
}

/// <summary>How many tensors one thread made, freed and moved.</summary>
public class LifetimeStatistics
{
    internal long CreatedOutside, DisposedOutside, CreatedIn, DisposedIn, Attached, Detached;

    public long CreatedOutsideScopeCount => CreatedOutside;
    public long DisposedOutsideScopeCount => DisposedOutside;
    public long CreatedInScopeCount => CreatedIn;
    public long DisposedInScopeCount => DisposedIn;
    public long AttachedToScopeCount => Attached;
    public long DetachedFromScopeCount => Detached;

    /// <summary>Made on this thread and not yet freed on it.</summary>
    public long ThreadTotalLiveCount => CreatedOutside + CreatedIn - DisposedOutside - DisposedIn;

    public void Reset() => CreatedOutside = DisposedOutside = CreatedIn = DisposedIn = Attached = Detached = 0;

    public override string ToString() =>
        $"ThreadTotalLiveCount: {ThreadTotalLiveCount}; CreatedOutsideScopeCount: {CreatedOutside}; DisposedOutsideScopeCount: {DisposedOutside}; " +
        $"CreatedInScopeCount: {CreatedIn}; DisposedInScopeCount: {DisposedIn}; AttachedToScopeCount: {Attached}; DetachedFromScopeCount: {Detached}";
}

/// <summary>The counts of one thread over everything that scopes own.</summary>
public class ThreadDisposeScopeStatistics
{
    public ThreadDisposeScopeStatistics() : this(new LifetimeStatistics())
    {
    }

    internal ThreadDisposeScopeStatistics(LifetimeStatistics tensors) => TensorStatistics = tensors;

    public LifetimeStatistics TensorStatistics { get; }
    public long CreatedOutsideScopeCount => TensorStatistics.CreatedOutsideScopeCount;
    public long DisposedOutsideScopeCount => TensorStatistics.DisposedOutsideScopeCount;
    public long CreatedInScopeCount => TensorStatistics.CreatedInScopeCount;
    public long DisposedInScopeCount => TensorStatistics.DisposedInScopeCount;
    public long AttachedToScopeCount => TensorStatistics.AttachedToScopeCount;
    public long DetachedFromScopeCount => TensorStatistics.DetachedFromScopeCount;
    public long ThreadTotalLiveCount => TensorStatistics.ThreadTotalLiveCount;

    public void Reset() => TensorStatistics.Reset();

    public override string ToString() => TensorStatistics.ToString();
}
