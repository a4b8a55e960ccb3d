using TorchSharp;
using static TorchSharp.torch;

namespace FineTuneStudio.Torch.Tests;

public class DisposeScopeTests
{
    [Fact]
    public void A_scope_frees_what_was_made_in_it_and_keeps_what_was_moved_out()
    {
        Tensor kept, freed;
        using (var outer = NewDisposeScope())
        {
            using (var inner = NewDisposeScope())
            {
                freed = ones(2) + 1;
                kept = (ones(2) * 3).MoveToOuterDisposeScope();
                Assert.Equal(3, inner.DisposablesCount);
            }
            Assert.True(freed.IsInvalid);
            Assert.False(kept.IsInvalid);
            Assert.True(outer.Contains(kept));
        }
        Assert.True(kept.IsInvalid);
    }

    [Fact]
    public void A_detached_tensor_belongs_to_nobody()
    {
        Tensor t;
        using (NewDisposeScope()) t = ones(2).DetachFromDisposeScope();
        Assert.False(t.IsInvalid);
        t.Dispose();
    }

    [Fact]
    public void Moving_out_of_the_outermost_scope_detaches()
    {
        Tensor t;
        using (NewDisposeScope()) t = ones(2).MoveToOuterDisposeScope();
        Assert.False(t.IsInvalid);
        t.Dispose();
    }

    [Fact]
    public void A_scope_can_be_emptied_but_for_some_and_stay_open()
    {
        using var scope = NewDisposeScope();
        var (a, b) = (ones(1), ones(1));
        scope.DisposeEverythingBut(a);
        Assert.True(b.IsInvalid);
        Assert.Equal(1, scope.DisposablesCount);
        scope.DisposeEverything();
        Assert.True(a.IsInvalid);
        Assert.Same(scope, CurrentDisposeScope);
    }

    [Fact]
    public void The_statistics_count_every_birth_and_death_of_the_thread()
    {
        OnItsOwnThread(() =>
        {
            var before = DisposeScopeManager.Statistics;
            Assert.Equal(0, before.ThreadTotalLiveCount);
            var outside = ones(1);
            using (NewDisposeScope())
            {
                var a = ones(1);
                ones(1).Dispose();
                ones(1).DetachFromDisposeScope().Dispose();
            }
            Assert.Equal(1, before.CreatedOutsideScopeCount);
            Assert.Equal(3, before.CreatedInScopeCount);
            Assert.Equal(2, before.DisposedInScopeCount);
            Assert.Equal(1, before.DisposedOutsideScopeCount);
            Assert.Equal(1, before.DetachedFromScopeCount);
            Assert.Equal(1, before.ThreadTotalLiveCount);
            outside.Dispose();
            Assert.Equal(0, before.ThreadTotalLiveCount);
        });
    }

    [Fact]
    public void A_function_in_its_own_scope_hands_out_its_result_only()
    {
        using var scope = NewDisposeScope();
        var result = WrappedTensorDisposeScope(() => (ones(2) + 1) * 2);
        Assert.Equal(1, scope.DisposablesCount);
        Assert.Equal([4f, 4f], result.data<float>().ToArray());
    }

    // The statistics are a thread's own, and the test runner's threads are shared by tests.
    private static void OnItsOwnThread(Action body)
    {
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                body();
            }
            catch (Exception e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }
}
